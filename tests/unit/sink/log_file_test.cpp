// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/log_file.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "unit/sink/lines.hpp"

using namespace flowkin;
using namespace flowkin::test;

namespace {

std::string refusal(const std::string& path) {
    auto log = EventLog::open({.file = FileSettings{.path = path}}, {});
    REQUIRE_FALSE(log);
    CHECK(log.error().fault == Fault::input_output);
    CHECK(log.error().text.find('\n') == std::string::npos);
    return log.error().text;
}

}  // namespace

TEST_CASE("a new file can be read by its group and by nobody else") {
    const Folder folder;
    const auto before = ::umask(0);
    auto log = open_file({.path = folder / "log"});
    ::umask(before);
    CHECK(std::filesystem::status(folder / "log").permissions() == std::filesystem::perms(0640));
}

TEST_CASE("an existing file is continued") {
    const Folder folder;
    open_file({.path = folder / "log"});
    {
        auto log = open_file({.path = folder / "log"});
        submit_lines(*log, 1, 3);
    }
    auto log = open_file({.path = folder / "log"});
    submit_lines(*log, 4, 3);
    CHECK_FALSE(log->close(1s));
    CHECK(sequences(text_of(folder / "log")) == range(1, 6));
}

TEST_CASE("a path that cannot be a log is refused in one line") {
    const Folder folder;
    std::filesystem::create_directory(folder / "folder");
    write_text(folder / "target", "");
    std::filesystem::create_symlink(folder / "target", folder / "link");
    std::filesystem::create_symlink(folder / "nothing", folder / "dangling");
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);

    CHECK_THAT(refusal(folder / "folder"), Catch::Contains("is a folder"));
    CHECK_THAT(refusal(folder / "link"), Catch::Contains("is a symbolic link"));
    CHECK_THAT(refusal(folder / "dangling"), Catch::Contains("is a symbolic link"));
    CHECK_THAT(refusal(folder / "fifo"), Catch::Contains("is not a regular file"));
    CHECK_THAT(refusal("/dev/null"), Catch::Contains("is not a regular file"));
    CHECK_THAT(refusal(folder / "missing/log"), Catch::Contains("mkdir -p " + folder.path() + "/missing"));
    CHECK_THAT(refusal(folder / "target/log"), Catch::Contains("Not a directory"));
    CHECK_THAT(refusal(""), Catch::Contains("cannot open"));
    CHECK_FALSE(std::filesystem::exists(folder / "nothing"));
}

TEST_CASE("two logs never write one file") {
    const Folder folder;
    auto first = open_file({.path = folder / "log"});
    CHECK_THAT(refusal(folder / "log"), Catch::Contains("is locked by another program"));
    first.reset();
    open_file({.path = folder / "log"});
}

TEST_CASE("a torn last line of an earlier crash is cut off") {
    const Folder folder;
    const auto path = folder / "log";
    auto whole = lines(1, 2000);
    const std::string before(whole.bytes());
    const auto tail = GENERATE(as<std::string>{}, R"({"sequence":2001,"pa)", std::string(4096, '\0'),
                               R"({"sequence":)" + std::string(50'000, '7'));
    write_text(path, before + tail);
    {
        auto log = open_file({.path = path});
        CHECK(text_of(path) == before);
        submit_lines(*log, 2001, 1);
    }
    CHECK(sequences(text_of(path)) == range(1, 2001));

    write_text(path, tail);  // torn in the very first line
    open_file({.path = path});
    CHECK(text_of(path).empty());
}

TEST_CASE("a file that is no log of ours is refused and left as it is") {
    const Folder folder;
    const auto path = folder / "log";
    const auto text = GENERATE(as<std::string>{}, "a letter, without a line end", "first\nsecond",
                               "{" + std::string(70'000, 'x'));
    write_text(path, text);
    CHECK_THAT(refusal(path), Catch::Contains("does not end in a line of this log"));
    CHECK(text_of(path) == text);
}

TEST_CASE("a full disk tears no line and loses none, and writing goes on by itself when there is room") {
    const Folder folder;
    if (!own_mounts()) {
        return;
    }
    const Mount disk(folder.path(), "size=256k");
    const auto path = folder / "log";
    write_text(folder / "ballast", std::string(100'000, 'b'));
    Heard heard;
    auto log = open_file({.path = path}, heard.callbacks());
    constexpr std::uint64_t count = 2000;  // 200,000 bytes; some 156,000 fit
    for (std::uint64_t next = 1; next <= count; next += 20) {
        submit_lines(*log, next, 20);
        std::this_thread::sleep_for(1ms);
    }
    REQUIRE(eventually([&] { return heard.all().size() == 1; }));
    CHECK_THAT(heard.all()[0], Catch::StartsWith("failing: cannot write " + path + ": No space left"));
    REQUIRE(eventually([&] { return log->counters().write_errors >= 3; }));
    const auto part = sequences(text_of(path));
    CHECK(part == range(1, part.size()));
    CHECK(part.size() < count);
    CHECK(part.size() == log->counters().lines_written);
    CHECK_FALSE(log->take_loss());

    std::filesystem::remove(folder / "ballast");
    REQUIRE(written(*log, count));
    REQUIRE(eventually([&] { return heard.all().size() == 2; }));
    CHECK(heard.all()[1] == "recovered");
    CHECK_FALSE(log->take_loss());
    CHECK(sequences(text_of(path)) == range(1, count));
}

TEST_CASE("what a full disk makes the queue drop is told as a failed write") {
    const Folder folder;
    if (!own_mounts()) {
        return;
    }
    const Mount disk(folder.path(), "size=64k");
    const auto path = folder / "log";
    write_text(folder / "ballast", std::string(32'768, 'b'));
    Heard heard;
    auto log = open_file({.path = path}, heard.callbacks(), 10'000);
    std::uint64_t next = 1;
    while (log->counters().lines_dropped < 500) {
        submit_lines(*log, next, 10);
        next += 10;
        std::this_thread::sleep_for(heard.all().empty() ? 2ms : 0ms);
    }
    std::filesystem::remove(folder / "ballast");
    std::optional<LineLoss> loss;
    REQUIRE(eventually([&] { return (loss = log->take_loss()).has_value(); }));
    CHECK(loss->write_failed);
    CHECK(loss->lines == loss->last_sequence - loss->first_sequence + 1);
    CHECK(loss->last_sequence == next - 1);
    submit_lines(*log, next, 10);
    CHECK_FALSE(log->close(5s));
    auto expected = range(1, loss->first_sequence - 1);
    const auto after = range(next, next + 9);
    expected.insert(expected.end(), after.begin(), after.end());
    CHECK(sequences(text_of(path)) == expected);
}

TEST_CASE("close tries a full disk once more, and tells the rest as lost") {
    const Folder folder;
    if (!own_mounts()) {
        return;
    }
    const Mount disk(folder.path(), "size=64k");
    const auto path = folder / "log";
    Heard heard;
    auto log = open_file({.path = path}, heard.callbacks());
    submit_lines(*log, 1, 1000);
    REQUIRE(eventually([&] { return log->counters().write_errors >= 3; }));
    const auto begin = std::chrono::steady_clock::now();

    SECTION("it is still full") {
        const auto loss = log->close(5s);
        CHECK(std::chrono::steady_clock::now() - begin < 1s);
        REQUIRE(loss);
        const auto there = sequences(text_of(path));
        CHECK(there == range(1, there.size()));
        CHECK(loss->first_sequence == there.size() + 1);
        CHECK(loss->last_sequence == 1000);
        CHECK(loss->lines == 1000 - there.size());
        CHECK(loss->write_failed);
    }
    SECTION("there is room") {
        REQUIRE(::mount("tmpfs", folder.path().c_str(), "tmpfs", MS_REMOUNT, "size=1m") == 0);
        CHECK_FALSE(log->close(5s));
        CHECK(std::chrono::steady_clock::now() - begin < 1s);
        CHECK(sequences(text_of(path)) == range(1, 1000));
    }
}

TEST_CASE("a write cut short by a limit leaves whole lines, and the rest comes when the limit is gone") {
    const Folder folder;
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    auto log = open_file({.path = folder / "log"});
    const rlimit small{.rlim_cur = 12'345, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    submit_lines(*log, 1, 1000);
    const bool failed = eventually([&] { return log->counters().write_errors >= 1; });
    const auto text = text_of(folder / "log");
    ::setrlimit(RLIMIT_FSIZE, &before);
    CHECK(failed);
    CHECK(sequences(text) == range(1, 123));
    CHECK_FALSE(log->close(5s));
    CHECK(sequences(text_of(folder / "log")) == range(1, 1000));
}

TEST_CASE("reopening sends what came before to the moved file and what comes after to the new one") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    for (std::uint64_t round = 0; round < 20; ++round) {
        const auto moved = folder / ("log." + std::to_string(round));
        submit_lines(*log, round * 200 + 1, 100);
        std::filesystem::rename(folder / "log", moved);
        submit_lines(*log, round * 200 + 101, 100);
        log->reopen();
        REQUIRE(eventually([&] { return std::filesystem::exists(folder / "log"); }));
        CHECK(sequences(text_of(moved)) == range(round * 200 + 1, round * 200 + 200));
    }
    submit_lines(*log, 4001, 1);
    CHECK_FALSE(log->close(1s));
    CHECK(sequences(text_of(folder / "log")) == range(4001, 4001));
}

TEST_CASE("a moved log is found also where lines wait that the old file cannot take") {
    const Folder folder;
    if (!own_mounts()) {
        return;
    }
    std::filesystem::create_directory(folder / "disk");
    const Mount disk(folder / "disk", "size=64k");
    const auto path = folder / "disk/log";
    Heard heard;
    auto log = open_file({.path = path}, heard.callbacks());
    submit_lines(*log, 1, 1000);
    REQUIRE(eventually([&] { return heard.all().size() == 1; }));
    const auto old = sequences(text_of(path));
    REQUIRE(::umount2((folder / "disk").c_str(), MNT_DETACH) == 0);
    log->reopen();
    REQUIRE(written(*log, 1000));
    CHECK(sequences(text_of(path)) == range(old.size() + 1, 1000));
}

TEST_CASE("a file that was moved or removed by somebody is noticed within about a second") {
    const Folder folder;
    const auto path = folder / "log";
    auto log = open_file({.path = path});
    const bool removed = GENERATE(false, true);
    submit_lines(*log, 1, 1);
    REQUIRE(written(*log, 1));
    removed ? std::filesystem::remove(path) : (std::filesystem::rename(path, folder / "moved"), true);
    std::uint64_t next = 2;
    CHECK(eventually(
        [&] {
            submit_lines(*log, next++, 1);
            return std::filesystem::exists(path);
        },
        1500ms));
    CHECK_FALSE(log->close(1s));
    const auto after = sequences(text_of(path));
    REQUIRE_FALSE(after.empty());
    CHECK(after == range(after.front(), next - 1));
    if (!removed) {
        CHECK(sequences(text_of(folder / "moved")) == range(1, after.front() - 1));
    }
}

TEST_CASE("where the path cannot be opened any more the lines wait until it can") {
    const Folder folder;
    std::filesystem::create_directory(folder / "logs");
    const auto path = folder / "logs/log";
    Heard heard;
    auto log = open_file({.path = path}, heard.callbacks());
    submit_lines(*log, 1, 10);
    REQUIRE(written(*log, 10));
    std::filesystem::rename(folder / "logs", folder / "elsewhere");
    log->reopen();
    submit_lines(*log, 11, 10);
    REQUIRE(eventually([&] { return heard.all().size() == 1; }));
    CHECK_THAT(heard.all()[0], Catch::Contains("does not exist"));
    std::filesystem::create_directory(folder / "logs");
    REQUIRE(written(*log, 20));
    REQUIRE(eventually([&] { return heard.all().size() == 2; }));
    CHECK(sequences(text_of(folder / "elsewhere/log")) == range(1, 10));
    CHECK(sequences(text_of(path)) == range(11, 20));
}

TEST_CASE("a file that somebody truncated is continued without a hole") {
    const Folder folder;
    if (!own_mounts()) {
        return;
    }
    const Mount disk(folder.path(), "size=64k");
    const auto path = folder / "log";
    auto log = open_file({.path = path});
    submit_lines(*log, 1, 1000);
    REQUIRE(eventually([&] { return log->counters().write_errors >= 1; }));
    const auto before = log->counters().lines_written;
    std::filesystem::resize_file(path, 0);
    REQUIRE(eventually([&] { return log->counters().lines_written > before; }));
    const auto there = sequences(text_of(path));
    REQUIRE_FALSE(there.empty());
    CHECK(there == range(before + 1, before + there.size()));
}
