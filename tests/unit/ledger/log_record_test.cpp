// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/log_record.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "support/log_text.hpp"

using flowkin::LogAction;
using flowkin::LogRecord;
using flowkin::read_record;
using flowkin::Uid;
using flowkin::test::LogText;

namespace {

LogRecord read(const std::string& line) {
    LogRecord record;
    REQUIRE(read_record(line, record));
    return record;
}

}  // namespace

TEST_CASE("a flow record gives its sequence, run, uid and kin") {
    const LogRecord record = read(LogText(0xfeed).go_to(41).child(7, 6, 5).text());
    CHECK(record.sequence == 41U);
    CHECK(record.id == Uid{0xfeed, 41});
    CHECK(record.action == LogAction::flow_opening);
    CHECK(record.uid == Uid{0xfeed, 7});
    CHECK(record.parent == Uid{0xfeed, 6});
    CHECK(record.root == Uid{0xfeed, 5});
    CHECK_FALSE(record.table_full);
    CHECK(record.malformed == nullptr);
}

TEST_CASE("an expectation gives its parent and the child that came") {
    const LogRecord record = read(LogText(0xfeed).expectation("expectation-fulfilled", 6, 7).text());
    CHECK(record.action == LogAction::other);
    CHECK_FALSE(record.uid);
    CHECK(record.parent == Uid{0xfeed, 6});
    CHECK(record.child == Uid{0xfeed, 7});
}

TEST_CASE("a loss gives its place, count and range") {
    const LogRecord record = read(LogText().lost("sink-write", 12, 30, 41).text());
    CHECK(record.action == LogAction::events_lost);
    CHECK(record.loss_place == flowkin::LogLossPlace::sink_write);
    CHECK(record.loss_count == 12U);
    CHECK(record.loss_first_sequence == 30U);
    CHECK(record.loss_last_sequence == 41U);
    CHECK(read(LogText().lost("somewhere-new", 1).text()).loss_place == flowkin::LogLossPlace::other);
}

TEST_CASE("monitor records give the run, what it continues and what lives at its stop") {
    const LogRecord fresh = read(LogText(0xfeed).start_fresh().text());
    CHECK(fresh.action == LogAction::monitor_start);
    CHECK(fresh.monitor_run == 0xfeedU);
    CHECK_FALSE(fresh.continues);
    const LogRecord restored = read(LogText(0xfeed).start_restored(0xbeef).text());
    CHECK(restored.continues);
    CHECK(restored.previous_run == 0xbeefU);
    const LogRecord stop = read(LogText().stop(9).text());
    CHECK(stop.action == LogAction::monitor_stop);
    CHECK(stop.flows_live == 9U);
}

TEST_CASE("order of keys, spacing and escapes do not matter") {
    const LogRecord record = read(
        "\t{ \"conntrack\" : { \"gaps\" : [ \"start-unseen\" , \"table\\u002dfull\" ] , \"uid\" : "
        "\"000000000000aaaa0000000000000007\" } , \"\\u0065vent\" : { \"sequence\" : 9 , \"action\" : "
        "\"flow\\u002dseen\" , "
        "\"id\" : \"000000000000aaaa0000000000000009\" } }\r");
    CHECK(record.sequence == 9U);
    CHECK(record.id == Uid{0xaaaa, 9});
    CHECK(record.uid == Uid{0xaaaa, 7});
    CHECK(record.action == LogAction::flow_opening);
    CHECK(record.table_full);
}

TEST_CASE("names of ours in other places mean nothing") {
    const LogRecord record = read(
        R"({"sequence":1,"uid":"x","labels":{"event":{"sequence":2,"action":"flow-end"},"conntrack":{"uid":3}},)"
        R"("network":{"id":"5"},"conntrack":{"event":{"id":7},"tcp":{"uid":1}}})");
    CHECK_FALSE(record.sequence);
    CHECK_FALSE(record.id);
    CHECK_FALSE(record.uid);
    CHECK(record.action == LogAction::other);
    CHECK(record.malformed == nullptr);
}

TEST_CASE("a field that is not what it should be is named") {
    const auto malformed = [](const std::string& line) {
        const char* const field = read(line).malformed;
        return std::string(field == nullptr ? "" : field);
    };
    CHECK(malformed(R"({"event":{"sequence":"1"}})") == "event.sequence");
    CHECK(malformed(R"({"event":{"sequence":-1}})") == "event.sequence");
    CHECK(malformed(R"({"event":{"sequence":1.0}})") == "event.sequence");
    CHECK(malformed(R"({"event":{"sequence":18446744073709551616}})") == "event.sequence");
    CHECK(malformed(R"({"event":{"sequence":1,"sequence":1}})") == "event.sequence");
    CHECK(malformed(R"({"event":[]})") == "event");
    CHECK(malformed(R"({"event":{"action":null}})") == "event.action");
    CHECK(malformed(R"({"event":{"action":"flow-end","action":"flow-end"}})") == "event.action");
    CHECK(malformed(R"({"conntrack":{"uid":"000000000000AAAA0000000000000007"}})") == "conntrack.uid");
    CHECK(malformed(R"({"conntrack":{"uid":"000000000000aaaa000000000000007"}})") == "conntrack.uid");
    CHECK(malformed(R"({"conntrack":{"parent":{"uid":""}}})") == "conntrack.parent.uid");
    CHECK(malformed(R"({"conntrack":{"lineage":7}})") == "conntrack.lineage");
    CHECK(malformed(R"({"conntrack":{"gaps":"table-full"}})") == "conntrack.gaps");
    CHECK(malformed(R"({"conntrack":{"gaps":[7]}})") == "conntrack.gaps");
    CHECK(malformed(R"({"conntrack":{"loss":{"count":"many"}}})") == "conntrack.loss.count");
    CHECK(malformed(R"({"conntrack":{"monitor":{"run":"0"}}})") == "conntrack.monitor.run");
    CHECK(malformed(R"({"event":{"sequence":18446744073709551615}})").empty());
}

TEST_CASE("what is not one whole object is no record") {
    LogRecord record;
    const std::string line = LogText().child(7, 6, 5).text();
    for (std::size_t length = 0; length + 1 < line.size(); ++length) {
        CHECK_FALSE(read_record(std::string_view(line).substr(0, length), record));
    }
    CHECK(read_record(line, record));
    CHECK_FALSE(read_record("[]", record));
    CHECK_FALSE(read_record("7", record));
    CHECK_FALSE(read_record("{}{}", record));
}
