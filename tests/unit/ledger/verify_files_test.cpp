// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/verify_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "ledger/line_reader.hpp"
#include "support/log_text.hpp"

using flowkin::Fault;
using flowkin::LineReader;
using flowkin::verify_files;
using flowkin::test::LogText;

namespace {

class Folder {
  public:
    Folder() { path_ = ::mkdtemp(name_.data()); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }

    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ / name, std::ios::binary) << text;
        return path_ / name;
    }
    std::string path(const std::string& name) const { return path_ / name; }

  private:
    std::array<char, 32> name_{"/tmp/ledger_test.XXXXXX"};
    std::filesystem::path path_;
};

struct Outcome {
    int status = -1;
    std::string text;
};

Outcome verify(const std::vector<std::string>& paths) {
    std::ostringstream out;
    const auto status = verify_files(paths, out, -1);
    REQUIRE(status);
    return {*status, out.str()};
}

flowkin::Error refusal(const std::vector<std::string>& paths) {
    std::ostringstream out;
    const auto status = verify_files(paths, out, -1);
    REQUIRE_FALSE(status);
    CHECK(out.str().empty());
    CHECK(status.error().text.find('\n') == std::string::npos);
    return status.error();
}

LogText long_log() {
    LogText log;
    log.start_fresh();
    for (std::uint64_t i = 1; i <= 3000; ++i) {
        log.open(i);
        if (i > 50) {
            log.update(i - 50).close(i - 50);
        }
    }
    return log.skip(3).lost("sink-queue", 3, log.next_sequence() - 3, log.next_sequence() - 1).stop(50);
}

}  // namespace

TEST_CASE("a log that holds is status 0, whole, in rotated files and on a pipe") {
    const Folder folder;
    const std::string text = long_log().text();
    const std::size_t cut = text.find('\n', text.size() / 2) + 1;
    const std::string whole = folder.write("log", text);
    const std::string old = folder.write("log.1", text.substr(0, cut));
    const std::string young = folder.write("log.0", text.substr(cut));
    const Outcome one = verify({whole});
    CHECK(one.status == 0);
    CHECK_THAT(one.text, Catch::Contains("3000 opened, 2950 closed, 50 open at the end"));
    CHECK(verify({old, young}).text == one.text);

    const std::string pipe = folder.path("pipe");
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    std::thread writer([&] { std::ofstream(pipe) << text; });
    const Outcome piped = verify({pipe});
    writer.join();
    CHECK(piped.text == one.text);
}

TEST_CASE("standard input is read as a log") {
    const Folder folder;
    const std::string path = folder.write("log", long_log().text());
    const int saved = ::dup(STDIN_FILENO);
    const int log = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(log >= 0);
    REQUIRE(::dup2(log, STDIN_FILENO) == STDIN_FILENO);
    const Outcome outcome = verify({"-"});
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
    ::close(log);
    CHECK(outcome.status == 0);
    CHECK(outcome.text == verify({path}).text);
}

TEST_CASE("a log that does not hold is status 1 and names file and line") {
    const Folder folder;
    const std::string path = folder.write("log", LogText().start_fresh().open(1).update(2).text());
    const Outcome outcome = verify({path});
    CHECK(outcome.status == 1);
    CHECK_THAT(outcome.text, Catch::StartsWith(path + ":3: flow "));
}

TEST_CASE("a last line without its newline is read, and a torn one breaks the law") {
    const Folder folder;
    std::string text = LogText().start_fresh().open(1).text();
    text.pop_back();
    CHECK(verify({folder.write("log", text)}).status == 0);
    text.pop_back();
    const Outcome torn = verify({folder.write("log", text)});
    CHECK(torn.status == 1);
    CHECK_THAT(torn.text, Catch::Contains("log:2: not a whole JSON object"));
}

TEST_CASE(
    "the same log in other spacing, other order of keys and with fields of others gets the same verdict") {
    const Folder folder;
    LogText log = long_log();
    log.update(7).update(9999).skip(2).open(1);  // with some faults
    std::istringstream lines(log.text());
    std::string sorted;
    std::string spaced;
    for (std::string line; std::getline(lines, line);) {
        auto json = nlohmann::json::parse(line);  // keys by the alphabet
        sorted += json.dump() + '\n';
        json["labels"] = {{"site", "b\xc3\xa9"}, {"uid", "none"}};
        json["event"]["ingested"] = nullptr;
        json["conntrack"]["more"] = {{"uid", 7}, {"list", {1, 2.5, "x"}}};
        std::string wide = json.dump(1, '\t', true);
        std::replace(wide.begin(), wide.end(), '\n', ' ');
        spaced += wide + '\n';
    }
    const auto after_log_line = [](const std::string& text) { return text.substr(text.find("\nflows")); };
    const Outcome plain = verify({folder.write("log", log.text())});
    CHECK(plain.status == 1);
    const Outcome resorted = verify({folder.write("log", sorted)});
    const Outcome respaced = verify({folder.write("log", spaced)});
    CHECK(resorted.text == plain.text);
    CHECK(respaced.text.substr(0, respaced.text.find("\nlog ")) ==
          plain.text.substr(0, plain.text.find("\nlog ")));
    CHECK(after_log_line(respaced.text) == after_log_line(plain.text));
}

TEST_CASE("files of one run in the wrong order are refused with the right order") {
    const Folder folder;
    const std::string text = long_log().text();
    const std::size_t cut = text.find('\n', text.size() / 2) + 1;
    const std::string old = folder.write("log.1", text.substr(0, cut));
    const std::string young = folder.write("log", text.substr(cut));
    const flowkin::Error error = refusal({young, old});
    CHECK(error.fault == Fault::usage);
    CHECK(error.text == "the files are not in order, oldest first: " + old + ' ' + young);
}

TEST_CASE("a file that is missing, a folder or not readable is one clear line") {
    const Folder folder;
    const std::string log = folder.write("log", LogText().start_fresh().text());
    const flowkin::Error missing = refusal({log, folder.path("nothing")});
    CHECK(missing.fault == Fault::input_output);
    CHECK(missing.text == "cannot read " + folder.path("nothing") + ": No such file or directory");
    CHECK_THAT(refusal({"/tmp"}).text, Catch::Equals("cannot read /tmp: Is a directory"));
    CHECK(refusal({"/tmp"}).fault == Fault::input_output);
    // A file that opens and then fails to read, also for root.
    CHECK_THAT(refusal({"/proc/self/mem"}).text,
               Catch::Contains("cannot read /proc/self/mem: Input/output error"));
}

TEST_CASE("a reader gives every line whole, whatever its length") {
    const Folder folder;
    std::string text;
    std::vector<std::size_t> lengths;
    for (std::size_t length : {0UL, 1UL, 4096UL, LineReader::longest_line - 1, LineReader::longest_line,
                               LineReader::longest_line + 1, 300'000UL, 1'000'000UL, 5UL}) {
        lengths.push_back(length);
        text += std::string(length, static_cast<char>('a' + lengths.size())) + '\n';
    }
    text += "no newline";
    lengths.push_back(10);
    auto reader = LineReader::open(folder.write("log", text));
    REQUIRE(reader);
    LineReader::Line line;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        REQUIRE(reader->next(line));
        CHECK(line.bytes == lengths[i]);
        CHECK(line.overlong() == (lengths[i] > LineReader::longest_line));
        if (!line.overlong() && i + 1 < lengths.size()) {
            CHECK(line.text == std::string(lengths[i], static_cast<char>('b' + i)));
        }
    }
    CHECK(line.text == "no newline");
    CHECK_FALSE(reader->next(line));
    CHECK_FALSE(reader->next(line));
    CHECK_FALSE(reader->error());
}

TEST_CASE("a gigantic line of zeros is one violation and costs no memory") {
    const Folder folder;
    const std::string path = folder.write("log", LogText().start_fresh().text());
    REQUIRE(::truncate(path.c_str(), 200'000'000) ==
            0);  // a sparse tail, as a crash of the machine leaves it
    const Outcome outcome = verify({path});
    CHECK(outcome.status == 1);
    CHECK_THAT(outcome.text, Catch::Contains(":2: a line of 1999"));
    CHECK_THAT(outcome.text, Catch::Contains("1 violation (length 1)"));
}
