// SPDX-License-Identifier: GPL-2.0-or-later
#include "log_tail.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

using namespace flowkin;
namespace fs = std::filesystem;

namespace {

constexpr RunId first_run = 0xa1;
constexpr RunId second_run = 0xb2;

std::string hex16(std::uint64_t value) {
    constexpr std::size_t size = 17;
    char text[size];
    std::snprintf(text, size, "%016llx", static_cast<unsigned long long>(value));
    return text;
}

std::string head(RunId run, std::uint64_t sequence, const std::string& dataset, const std::string& action) {
    return R"({"@timestamp":"2026-11-23T09:15:)" + std::to_string(10 + sequence) +
           R"(.000000000Z","event":{"dataset":")" + dataset + R"(","action":")" + action + R"(","id":")" +
           hex16(run) + hex16(sequence) + R"(","sequence":)" + std::to_string(sequence) + "}";
}

std::string flow_line(RunId run, std::uint64_t sequence, const std::string& action, std::uint64_t counter,
                      const std::string& observed = "event") {
    return head(run, sequence, "flowkin.flow", action) +
           R"(,"network":{"type":"ipv4","iana_number":"17"},"source":{"ip":"10.1.0.2","port":)" +
           std::to_string(counter) +
           R"(},"destination":{"ip":"10.2.0.2","port":53},"conntrack":{"mark":0,"observed":")" + observed +
           R"(","uid":")" + hex16(first_run) + hex16(counter) + "\"}}\n";
}

std::string start_line(RunId run, RunId previous, const std::string& state) {
    return head(run, 1, "flowkin.monitor", "monitor-start") + R"(,"conntrack":{"monitor":{"previous_run":")" +
           hex16(previous) + R"(","state":")" + state + "\"}}}\n";
}

std::string loss_line(RunId run, std::uint64_t sequence, std::uint64_t count) {
    return head(run, sequence, "flowkin.loss", "events-lost") +
           R"(,"conntrack":{"loss":{"where":"kernel-socket","count":)" + std::to_string(count) + "}}}\n";
}

/// A log in a folder that goes when the test does.
class Log {
  public:
    Log() {
        std::string name = (fs::temp_directory_path() / "flowkin-log-XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
    }
    ~Log() { fs::remove_all(folder_); }
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    void write(const std::string& text, const std::string& name = "flow.ndjson") const {
        std::ofstream(folder_ / name, std::ios::app) << text;
    }
    /// So much older than now.
    void age(const std::string& name, int seconds) const {
        fs::last_write_time(folder_ / name, fs::file_time_type::clock::now() - std::chrono::seconds(seconds));
    }
    StateHeader state_at(std::uint64_t sequence) const {
        StateHeader header;
        header.run = first_run;
        header.sequence = sequence;
        header.kernel_drops = 100;
        header.log_path = (folder_ / "flow.ndjson").string();
        return header;
    }

  private:
    fs::path folder_;
};

}  // namespace

TEST_CASE("lines after the state file's sequence are applied, and those before it are not") {
    const Log log;
    log.write(flow_line(first_run, 1, "flow-start", 1) + flow_line(first_run, 2, "flow-start", 2) +
              flow_line(first_run, 3, "flow-end", 1) + flow_line(first_run, 4, "flow-start", 3));
    const LogTail tail = read_log_tail(log.state_at(2));
    CHECK(tail.joins);
    CHECK_FALSE(tail.stopped);
    REQUIRE(tail.flows.size() == 2);
    CHECK_FALSE(tail.flows.at({first_run, 1}));
    CHECK(tail.flows.at({first_run, 3})->flow.key.original.source_port == 3);
}

TEST_CASE("of a flow that ended after its mark had changed the last mark is kept, for its children") {
    const Log log;
    std::string marked_end = flow_line(first_run, 2, "flow-end", 1);
    marked_end.replace(marked_end.find(R"("mark":0)"), 8,
                       R"("mark":153,"mark_previous":17,"mark_changes":1)");
    log.write(flow_line(first_run, 1, "flow-start", 1) + marked_end + flow_line(first_run, 3, "flow-end", 2));
    const LogTail tail = read_log_tail(log.state_at(1));
    REQUIRE(tail.ended_marks.size() == 1);
    CHECK(tail.ended_marks.at({first_run, 1}) == 153);
}

TEST_CASE("a run that continues the one before is read too") {
    const Log log;
    log.write(flow_line(first_run, 1, "flow-start", 1) + start_line(second_run, first_run, "restored") +
              flow_line(second_run, 2, "flow-end", 1));
    const LogTail tail = read_log_tail(log.state_at(1));
    CHECK(tail.run == second_run);
    CHECK_FALSE(tail.superseded);
    CHECK_FALSE(tail.flows.at({first_run, 1}));
}

TEST_CASE("a run that began afresh makes the state file worthless") {
    const Log log;
    log.write(flow_line(first_run, 1, "flow-start", 1) + start_line(second_run, first_run, "fresh"));
    CHECK(read_log_tail(log.state_at(1)).superseded);
}

TEST_CASE("losses are summed for as long as the socket is the same") {
    const Log log;
    log.write(loss_line(first_run, 1, 5) + loss_line(first_run, 2, 7));
    CHECK(read_log_tail(log.state_at(1)).kernel_drops == 107);
    SECTION("an inherited socket counts on") {
        log.write(start_line(second_run, first_run, "inherited-socket") + loss_line(second_run, 2, 10));
        CHECK(read_log_tail(log.state_at(1)).kernel_drops == 117);
    }
    SECTION("a new socket counts from zero") {
        log.write(start_line(second_run, first_run, "restored") + loss_line(second_run, 2, 10));
        CHECK(read_log_tail(log.state_at(1)).kernel_drops == 10);
    }
}

TEST_CASE("a last line without its newline is no line") {
    const Log log;
    std::string torn = flow_line(first_run, 2, "flow-end", 1);
    torn.pop_back();
    log.write(flow_line(first_run, 1, "flow-start", 1) + torn);
    CHECK(read_log_tail(log.state_at(0)).flows.at({first_run, 1}).has_value());
}

TEST_CASE("rotated files are read in their order, back to the state file and no further") {
    const Log log;
    log.write(flow_line(first_run, 1, "flow-start", 9), "flow.ndjson.1");
    log.write(flow_line(first_run, 2, "flow-start", 1), "flow.ndjson.2");
    log.write(flow_line(first_run, 3, "flow-start", 2), "flow.ndjson.3");
    log.write(flow_line(first_run, 4, "flow-end", 1));
    log.age("flow.ndjson.1", 30);
    log.age("flow.ndjson.2", 20);
    log.age("flow.ndjson.3", 10);
    const LogTail tail = read_log_tail(log.state_at(1));
    CHECK(tail.joins);
    CHECK(tail.flows.size() == 2);
    CHECK_FALSE(tail.flows.at({first_run, 1}));
}

TEST_CASE("a log that does not reach back to the state file does not join") {
    const Log log;
    log.write(flow_line(first_run, 5, "flow-start", 1));
    CHECK_FALSE(read_log_tail(log.state_at(2)).joins);
    CHECK(read_log_tail(log.state_at(4)).joins);
}

TEST_CASE("what the kernel was heard to say last is the time of an event, not of a dump") {
    const Log log;
    log.write(flow_line(first_run, 1, "flow-start", 1) + flow_line(first_run, 2, "flow-seen", 2, "dump"));
    StateHeader header = log.state_at(0);
    const WallTime at = WallTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)) +
                        std::chrono::hours(9) + std::chrono::minutes(15) + std::chrono::seconds(11);
    CHECK(read_log_tail(header).heard_until == at);
    header.heard_until = at + std::chrono::hours(1);
    CHECK(read_log_tail(header).heard_until == header.heard_until);
}
