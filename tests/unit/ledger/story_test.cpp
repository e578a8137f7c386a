// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story.hpp"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "ledger/story_files.hpp"
#include "ledger/story_telling.hpp"
#include "support/log_text.hpp"

using namespace flowkin;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path golden_folder = fs::path(FLOWKIN_SOURCE_DIR) / "tests/golden/story";

class Folder {
  public:
    Folder() { path_ = ::mkdtemp(name_.data()); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { fs::remove_all(path_); }

    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ / name, std::ios::binary) << text;
        return path_ / name;
    }

  private:
    std::array<char, 32> name_{"/tmp/story_test.XXXXXX"};
    fs::path path_;
};

StoryQuestion question(const std::string& what, const std::string& at = {}) {
    auto parsed = parse_story_question(what, at.empty() ? std::nullopt : std::optional<std::string_view>(at));
    REQUIRE(parsed);
    return *parsed;
}

std::string told(const StoryQuestion& asked, const std::vector<std::string>& paths,
                 StoryForm form = StoryForm::plain) {
    std::ostringstream out;
    const auto done = tell_story(asked, paths, form, out);
    if (!done) {
        CHECK(out.str().empty());
        CHECK(done.error().text.find('\n') == std::string::npos);
        return done.error().text;
    }
    return out.str();
}

json told_json(const StoryQuestion& asked, const std::vector<std::string>& paths) {
    return json::parse(told(asked, paths, StoryForm::json));
}

std::string slurp(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

/// A record with what a test says of it.
struct Record {
    std::string action;
    std::string at = "2026-11-23T09:15:00.000000000Z";
    std::string event = R"(,"kind":"event")";  ///< more of it, with a leading comma
    std::string conntrack;                     ///< its members
    std::string dataset = "flow";
    std::string source = R"({"ip":"10.1.0.2","port":4242})";
    std::string destination = R"({"ip":"10.2.0.2","port":21})";
    std::string community_id = "1:hggek9pOhdwmeMvJtKyBzeKOsnc=";
};

std::string line(const Record& record) {
    static int sequence = 0;
    const std::string number = test::hex16(static_cast<std::uint64_t>(++sequence));
    return R"({"@timestamp":")" + record.at + R"(","event":{"dataset":"flowkin.)" + record.dataset +
           R"(","action":")" + record.action + R"(","id":"00000000000000aa)" + number + '"' + record.event +
           R"(},"network":{"transport":"tcp","community_id":")" + record.community_id + R"("},"source":)" +
           record.source + R"(,"destination":)" + record.destination + R"(,"conntrack":{)" +
           record.conntrack + "}}\n";
}

std::string uid(std::uint64_t counter) {
    return R"("uid":"00000000000000aa)" + test::hex16(counter) + '"';
}

std::string kin(std::uint64_t parent, std::uint64_t root, int depth) {
    return R"(,"parent":{"uid":"00000000000000aa)" + test::hex16(parent) +
           R"("},"lineage":{"root":"00000000000000aa)" + test::hex16(root) + R"(","depth":)" +
           std::to_string(depth) + "}";
}

std::string at_minute(int minute) {
    return "2026-11-23T09:" + std::string(minute < 10 ? "0" : "") + std::to_string(minute) + ":00.000000000Z";
}

}  // namespace

TEST_CASE("the stories of real logs are those on record") {
    struct Asked {
        std::string log;
        std::string what;
        std::string at;
    };
    // By the child's translated port, by the first packet that was refused, by a parent whose end was lost.
    const std::string name = GENERATE("ftp_masquerade", "refused", "vanished");
    const Asked asked = [&] {
        const json questions = json::parse(slurp(golden_folder / "questions.json"));
        return Asked{name, questions[name]["what"], questions[name].value("at", "")};
    }();
    CAPTURE(asked.log);
    const std::vector<std::string> paths{golden_folder / (asked.log + ".ndjson")};
    const std::string text = told(question(asked.what, asked.at), paths);
    const fs::path golden = golden_folder / (asked.log + ".txt");
    if (std::getenv("FLOWKIN_REWRITE_GOLDEN") != nullptr) {
        std::ofstream(golden) << text;
    }
    CHECK(text == slurp(golden));
    CHECK(text.find(asked.what) == 0);
}

TEST_CASE("a grandchild's question is answered with the whole family, each in its place") {
    const Folder folder;
    const std::string log =
        folder.write("log", line({.action = "flow-start", .conntrack = uid(1)}) +
                                line({.action = "flow-start", .conntrack = uid(2) + kin(1, 1, 1)}) +
                                line({.action = "flow-start",
                                      .conntrack = R"("id":99,)" + uid(3) + kin(2, 1, 2),
                                      .source = R"({"ip":"10.1.0.9","port":5555})"}) +
                                line({.action = "flow-start", .conntrack = uid(4) + kin(1, 1, 1)}) +
                                line({.action = "flow-start", .conntrack = uid(5)}));
    for (const std::string what : {"99", "0x63", "10.1.0.9:5555", "00000000000000aa0000000000000003"}) {
        CAPTURE(what);
        const json answer = told_json(question(what), {log});
        CHECK(answer["matches"] == 1);
        const json& story = answer["stories"].at(0);
        CHECK(story["records"].size() == 4);
        std::vector<std::string> numbers;
        std::vector<std::string> asked_for;
        for (const json& flow : story["flows"]) {
            numbers.push_back(flow["number"]);
            if (flow["asked_for"]) {
                asked_for.push_back(flow["number"]);
            }
        }
        CHECK(numbers == std::vector<std::string>{"1", "1.1", "1.1.1", "1.2"});
        CHECK(asked_for == std::vector<std::string>{"1.1.1"});
    }
}

TEST_CASE("a flow is found by each of its ends, translated or not, and by no other") {
    const Folder folder;
    const std::string log = folder.write(
        "log",
        line({.action = "flow-start",
              .conntrack = uid(1) + R"(,"id":7,"reply":{"community_id":"1:WNgcs2/MV1755jUjDxA40TJY+ZU="})",
              .source = R"({"ip":"10.1.0.2","port":4242,"nat":{"ip":"198.51.100.7","port":40314}})",
              .destination = R"({"ip":"203.0.113.50","port":443,"nat":{"ip":"fd02::2","port":8443}})"}));
    for (const std::string what : {"10.1.0.2:4242", "198.51.100.7:40314", "203.0.113.50", "[fd02::2]:8443",
                                   "198.51.100.7:40314-203.0.113.50:443", "fd02::2 → 10.1.0.2", "7",
                                   "1:hggek9pOhdwmeMvJtKyBzeKOsnc=", "1:WNgcs2/MV1755jUjDxA40TJY+ZU="}) {
        CAPTURE(what);
        CHECK(told(question(what), {log}).find("1 match\n") != std::string::npos);
    }
    for (const std::string what : {"10.1.0.2:40314", "198.51.100.7:4242", "10.1.0.2-198.51.100.7",
                                   "10.1.0.2:424", "0.1.0.2", "8", "1:wCb3OG7yAFWelaUydu0D+125CLM="}) {
        CAPTURE(what);
        CHECK(told(question(what), {log}) == "nothing about " + what + " in 1 line");
    }
}

TEST_CASE("--at tells who of those that had an address had it then") {
    const Folder folder;
    std::string text;
    for (const int minute : {10, 20, 30}) {
        const auto number = static_cast<std::uint64_t>(minute);
        text += line({.action = "flow-start", .at = at_minute(minute), .conntrack = uid(number)});
        text += line({.action = "flow-end",
                      .at = at_minute(minute + 6),
                      .event = R"(,"end":")" + at_minute(minute + 5) + '"',
                      .conntrack = uid(number)});
    }
    text += line({.action = "flow-start", .at = at_minute(50), .conntrack = uid(50)});
    const std::string log = folder.write("log", text);
    const auto flow_at = [&](const std::string& at) {
        const json answer = told_json(question("10.1.0.2:4242", at), {log});
        CHECK(answer["matches"] == 1);
        return answer["stories"].at(0)["flows"].at(0)["uid"].get<std::string>().substr(30);
    };
    CHECK(flow_at("09:12") == "0a");
    CHECK(flow_at("2026-11-23T09:22:30Z") == "14");
    CHECK(flow_at("2026-11-23T10:35+01:00") == "1e");  // the end, not when the kernel told of it
    CHECK(flow_at("2026-11-23T09:55:00Z") == "32");    // lives
    CHECK(flow_at("2027-01-01T00:00:00Z") == "32");
    CHECK(told(question("10.1.0.2:4242", "09:36"), {log}) ==
          "nothing about 10.1.0.2:4242 at 09:36 in 7 lines");
    CHECK(told(question("10.1.0.2:4242", "2026-11-24T09:12"), {log}).find("1 match") != std::string::npos);
    CHECK(told_json(question("10.1.0.2:4242", "2026-11-23"), {log})["matches"] == 4);
}

TEST_CASE("a flow whose start was not seen may have been there before") {
    const Folder folder;
    const std::string log = folder.write("log", line({.action = "flow-seen",
                                                      .at = at_minute(30),
                                                      .conntrack = uid(1) + R"(,"gaps":["start-unseen"])"}) +
                                                    line({.action = "flow-seen",
                                                          .at = at_minute(30),
                                                          .event = R"(,"start":")" + at_minute(25) + '"',
                                                          .conntrack = uid(2)}));
    CHECK(told_json(question("10.1.0.2", "2026-11-23T09:20Z"), {log})["matches"] == 1);
    CHECK(told_json(question("10.1.0.2", "2026-11-23T09:27Z"), {log})["matches"] == 2);
    CHECK(told(question("10.1.0.2"), {log}).find("its start was not seen") != std::string::npos);
}

TEST_CASE("what was lost while a flow lived is told, and what was lost at other times is not") {
    const Folder folder;
    const auto lost = [](int since, int until) {
        return line({.action = "events-lost",
                     .at = at_minute(until),
                     .conntrack = R"("loss":{"where":"kernel-socket","count":3,"since":")" +
                                  at_minute(since) + R"(","until":")" + at_minute(until) + "\"}",
                     .dataset = "loss"});
    };
    const std::string log = folder.write(
        "log", lost(1, 2) + line({.action = "flow-start", .at = at_minute(10), .conntrack = uid(1)}) +
                   lost(9, 11) + lost(12, 13) +
                   line({.action = "flow-end",
                         .at = at_minute(20),
                         .event = R"(,"reason":"vanished")",
                         .conntrack = uid(1) + R"(,"end_window":[")" + at_minute(12) + R"(",")" +
                                      at_minute(20) + R"("])"}) +
                   lost(19, 21) + lost(30, 31));
    const json answer = told_json(question("10.1.0.2"), {log});
    CHECK(answer["stories"].at(0)["records"].size() == 5);
    const std::string text = told(question("10.1.0.2"), {log});
    CHECK(text.find("3 events at kernel-socket · 09:12:00.000000 to 09:13:00.000000") != std::string::npos);
    CHECK(text.find("09:01:00") == std::string::npos);
    CHECK(text.find("09:30:00") == std::string::npos);
    CHECK(text.find("it lies between 09:12:00.000000 and 09:20:00.000000") != std::string::npos);
}

TEST_CASE("a loss just before a flow whose start was not seen is told with it") {
    const Folder folder;
    const std::string loss = line({.action = "events-lost",
                                   .at = at_minute(8),
                                   .conntrack = R"("loss":{"where":"kernel-socket","since":")" +
                                                at_minute(7) + R"(","until":")" + at_minute(8) + "\"}",
                                   .dataset = "loss"});
    const std::string log =
        folder.write("log", loss + line({.action = "flow-seen",
                                         .at = at_minute(9),
                                         .conntrack = uid(1) + R"(,"gaps":["start-unseen"])"}));
    CHECK(told(question("10.1.0.2"), {log}).find("an unknown number of events at kernel-socket") !=
          std::string::npos);
}

TEST_CASE("a packet belongs to its flow by uid, and after the flow's end by id, tuple and time") {
    const Folder folder;
    const auto packet = [](const std::string& at, const std::string& conntrack) {
        return line({.action = "packet-reset",
                     .at = at,
                     .conntrack = conntrack + R"("packet":{"tcp_flags":["rst"],"direction":"reply"})",
                     .dataset = "packet",
                     .source = R"({"ip":"10.2.0.2","port":21})",
                     .destination = R"({"ip":"10.1.0.2","port":4242})"});
    };
    const std::string log = folder.write(
        "log", line({.action = "flow-start", .at = at_minute(10), .conntrack = uid(1) + R"(,"id":7)"}) +
                   packet(at_minute(11), uid(1) + ',') +
                   line({.action = "flow-end", .at = at_minute(12), .conntrack = uid(1) + R"(,"id":7)"}) +
                   packet("2026-11-23T09:12:01.000000000Z", R"("id":7,)") +
                   packet("2026-11-23T09:12:02.000000000Z", R"("id":8,)") +
                   packet(at_minute(40), R"("id":7,)"));
    const json answer = told_json(question("10.1.0.2:4242"), {log});
    REQUIRE(answer["stories"].size() == 2);
    CHECK(answer["stories"].at(0)["records"].size() == 4);
    // Half an hour later the same tuple is another matter.
    CHECK(answer["stories"].at(1)["records"].size() == 1);
    CHECK_FALSE(answer["stories"].at(1)["flows"].at(0).contains("uid"));
}

TEST_CASE("a parent that is not in these files has its place all the same") {
    const Folder folder;
    const std::string log =
        folder.write("log", line({.action = "flow-start", .conntrack = uid(3) + kin(2, 1, 2)}));
    const std::string text = told(question("00000000000000aa0000000000000001"), {log});
    CHECK(text.find("#1    a flow that has no record in these files  ← asked for") != std::string::npos);
    CHECK(text.find("#1.1  a flow that has no record in these files\n") != std::string::npos);
    CHECK(text.find("#1.1.1 tcp 10.1.0.2:4242 → 10.2.0.2:21\n") != std::string::npos);
}

TEST_CASE("a parent that flowkin never met is named by its tuple") {
    const Folder folder;
    const std::string log = folder.write(
        "log",
        line(
            {.action = "flow-seen",
             .conntrack =
                 uid(3) +
                 R"(,"parent":{"tuple":{"source":{"ip":"10.1.0.2","port":40000},"destination":{"ip":"10.2.0.2","port":21},"transport":"tcp"}})"}));
    CHECK(told(question("10.1.0.2:4242"), {log})
              .find("child of tcp 10.1.0.2:40000 → 10.2.0.2:21, which was not seen") != std::string::npos);
}

TEST_CASE("the files are put in order, and a line that was delivered twice is told once") {
    const Folder folder;
    const std::string first = folder.write(
        "flow.ndjson.1", line({.action = "flow-start", .at = at_minute(1), .conntrack = uid(1)}));
    const std::string second =
        folder.write("flow.ndjson", line({.action = "flow-end", .at = at_minute(2), .conntrack = uid(1)}));
    const std::string text = told(question("10.1.0.2"), {second, first});
    CHECK(text == told(question("10.1.0.2"), {first, second}));
    CHECK(text == told(question("10.1.0.2"), {first, second, first}));
    CHECK(text.find("begins") < text.find("ends"));
}

TEST_CASE("ten stories are told of many, and the rest is counted") {
    const Folder folder;
    std::string text;
    for (std::uint64_t flow = 1; flow <= 25; ++flow) {
        text += line({.action = "flow-start", .conntrack = uid(flow)});
    }
    const std::string log = folder.write("log", text);
    const json answer = told_json(question("10.1.0.2"), {log});
    CHECK(answer["matches"] == 25);
    CHECK(answer["stories"].size() == 10);
    CHECK(answer["stories_left_out"] == 15);
    CHECK(told(question("10.1.0.2"), {log}).find("25 matches in 25 stories; the first 10 are told") !=
          std::string::npos);
}

TEST_CASE("what one story holds is bounded, and its flows' ends are known nevertheless") {
    const Folder folder;
    std::string text = line({.action = "flow-start", .conntrack = uid(1)});
    const std::string padding(2000, 'x');
    for (int i = 0; i < 5000; ++i) {
        text +=
            line({.action = "flow-update",
                  .conntrack = uid(1) + R"(,"changed":["tcp.state"],"tcp":{"state":")" + padding + "\"}"});
    }
    text += line({.action = "flow-end", .event = R"(,"reason":"timeout")", .conntrack = uid(1)});
    const std::string log = folder.write("log", text);
    const json story = told_json(question("10.1.0.2"), {log})["stories"].at(0);
    CHECK(story["records"].size() + story["records_left_out"].get<std::size_t>() == 5002);
    CHECK(story["records_left_out"] > 0);
    CHECK(story["flows"].at(0)["reason"] == "timeout");
    CHECK(told(question("10.1.0.2"), {log}).find("  … and ") != std::string::npos);
}

TEST_CASE("lines that are torn, foreign or hostile are passed over") {
    const Folder folder;
    const std::string whole = line({.action = "flow-start", .conntrack = uid(1)});
    const std::string log = folder.write(
        "log",
        whole.substr(0, whole.size() / 2) + '\n' + whole + "10.1.0.2\n\"10.1.0.2\"\n[\"10.1.0.2\"]\n" +
            std::string(100'000, '[') + "10.1.0.2\n" +
            R"({"event":"10.1.0.2","conntrack":[],"source":7,"@timestamp":null})" + "\n\n" +
            R"({"event":{"dataset":"flowkin.flow","action":7},"source":{"ip":"10.1.0.2","port":-1},"conntrack":{"uid":"x"}})" +
            "\n" + whole.substr(0, whole.size() / 2));
    CHECK(told_json(question("10.1.0.2"), {log})["stories"].at(0)["records"].size() == 1);
}

TEST_CASE("a terminal is never sent the control characters of a name") {
    const Folder folder;
    const std::string log = folder.write(
        "log",
        line({.action = "flow-start", .conntrack = uid(1) + R"(,"helper":"\u001b[2J\u009b31mftp\u0007")"}));
    for (const StoryForm form : {StoryForm::plain, StoryForm::coloured}) {
        const std::string text = told(question("10.1.0.2"), {log}, form);
        CHECK(text.find("helper ?[2J?31mftp?") != std::string::npos);
        CHECK(text.find('\a') == std::string::npos);
        CHECK((text.find('\x1b') == std::string::npos) == (form == StoryForm::plain));
    }
}

TEST_CASE("a file that cannot be read is named") {
    std::ostringstream out;
    const std::vector<std::string> paths{"/nowhere/flow.ndjson"};
    const auto done = tell_story(question("10.1.0.2"), paths, StoryForm::plain, out);
    REQUIRE_FALSE(done);
    CHECK(done.error().fault == Fault::input_output);
    CHECK(done.error().text == "cannot read /nowhere/flow.ndjson: No such file or directory");
}
