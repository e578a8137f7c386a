// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "recorder.hpp"

using namespace flowkin;
using namespace flowkin::test;

TEST_CASE("a flow is opened by NEW, updated and ended, all under one uid") {
    Fixture f;
    const Tuple tuple = tcp(1000, 80);
    f.apply(born(tuple, 1));
    f.apply(with_mark(updated(tuple, 1), 5), 1);
    f.apply(destroyed(tuple, 1), 2);
    CHECK(f.said.story() == "start mark end");
    CHECK(f.said.flows[0].flow.uid == FlowUid{7, 1});
    CHECK(f.said.flows[2].flow.uid == FlowUid{7, 1});
    CHECK(f.table.size() == 0);
    CHECK(f.table.counters().opened == 1);
    CHECK(f.table.counters().ended == 1);
}

TEST_CASE("NEW for a live key ends the old incarnation as replaced before it opens the new one") {
    Fixture f;
    const Tuple tuple = tcp(1000, 80);
    f.apply(born(tuple, 1));
    f.apply(born(tuple, 1), 5);  // the kernel gives the same id again (measured)
    CHECK(f.said.story() == "start end start");
    CHECK(f.said.flows[1].event.end.reason == EndReason::replaced);
    REQUIRE(f.said.flows[1].event.end.window);
    CHECK(f.said.flows[1].event.end.window->earliest == at_ms(0));
    CHECK(f.said.flows[1].event.end.window->latest == at_ms(5));
    CHECK(!f.said.flows[1].event.end.ended);
    CHECK(f.said.flows[1].flow.gaps.has(Gap::end_time_unknown));
    CHECK(f.said.flows[2].flow.uid == FlowUid{7, 2});
    CHECK(f.table.size() == 1);
}

TEST_CASE("a DESTROY whose id is not the stored one is stale and ends nothing") {
    Fixture f;
    const Tuple tuple = tcp(1000, 80);
    f.apply(born(tuple, 2));
    f.apply(destroyed(tuple, 1));
    CHECK(f.said.story() == "start");
    CHECK(f.table.counters().stale == 1);
    CHECK(f.table.size() == 1);
}

TEST_CASE("an UPDATE of an unknown flow opens it as seen, and its start is unknown") {
    Fixture f;
    f.apply(updated(tcp(1000, 80), 1));
    CHECK(f.said.story() == "seen");
    CHECK(f.said.last().flow.gaps.has(Gap::start_unseen));
    CHECK(!f.said.last().flow.has_start);
    CHECK(f.said.last().event.observed == Observed::event);
}

TEST_CASE("a DESTROY of an unknown flow opens and ends it, with the start that the kernel stamped") {
    Fixture f;
    FlowMessage end = destroyed(tcp(1000, 80), 1);
    end.start = at_ms(-500);
    end.stop = at_ms(-1);
    end.original_counters = Counters{3, 300};
    end.reply_counters = Counters{2, 200};
    f.apply(end);
    CHECK(f.said.story() == "seen end");
    CHECK(f.said.flows[0].flow.uid == f.said.flows[1].flow.uid);
    CHECK(f.said.last().flow.started == at_ms(-500));
    CHECK(!f.said.last().flow.gaps.has(Gap::start_unseen));
    CHECK(f.said.last().flow.gaps.has(Gap::updates_lost));
    CHECK(f.said.last().event.end.ended == at_ms(-1));
    CHECK(f.table.size() == 0);
}

TEST_CASE("a DESTROY that is repeated opens nothing while a dump runs") {
    Fixture f;
    const Tuple tuple = tcp(1000, 80);
    f.apply(born(tuple, 1));
    f.table.begin_reconcile(at_ms(1));
    f.apply(destroyed(tuple, 1), 2);
    f.apply(destroyed(tuple, 1), 3);
    CHECK(f.said.story() == "start end");
}

TEST_CASE(
    "an UPDATE with another id means that a life was missed: the old one is replaced, the new one seen") {
    Fixture f;
    const Tuple tuple = tcp(1000, 80);
    f.apply(born(tuple, 1));
    f.apply(updated(tuple, 2), 1);
    CHECK(f.said.story() == "start end seen");
    CHECK(f.said.flows[1].event.end.reason == EndReason::replaced);
}

TEST_CASE("an UPDATE with another id that is older than the flow is stale") {
    Fixture f;
    const Tuple tuple = tcp(1000, 80);
    f.apply(born(tuple, 2), 10);
    FlowMessage late = updated(tuple, 1);
    late.event_time = at_ms(5);
    f.apply(late, 11);
    CHECK(f.said.story() == "start");
    CHECK(f.table.counters().stale == 1);
}

TEST_CASE("an UPDATE of an unknown flow that is dying opens nothing: its DESTROY was here already") {
    Fixture f;
    FlowMessage dying = updated(tcp(1000, 80), 1);
    dying.status = status({StatusBit::confirmed, StatusBit::dying});
    f.apply(dying);
    CHECK(f.said.story().empty());
}

TEST_CASE("the same tuple in two zones, or in one zone of different direction, is two flows") {
    Fixture f;
    FlowMessage first = born(tcp(1000, 80), 1);
    FlowMessage second = first;
    second.key.zone = {7, ZoneDirection::both};
    FlowMessage third = first;
    third.key.zone = {7, ZoneDirection::original};
    f.apply(first);
    f.apply(second);
    f.apply(third);
    CHECK(f.said.story() == "start start start");
    CHECK(f.table.size() == 3);
}

TEST_CASE("flow-end carries what DESTROY does not: helper, labels, start, reply tuple") {
    Fixture f;
    FlowMessage first = born(tcp(1000, 21), 1);
    first.helper = HelperName("ftp");
    first.labels = Labels{};
    first.labels->bytes[0] = 4;
    first.reply.destination = ipv4(198, 51, 100, 7);
    f.apply(first);
    FlowMessage end = destroyed(tcp(1000, 21), 1);
    end.reply = first.reply;
    f.apply(end, 9);
    REQUIRE(f.said.last().tags);
    CHECK(f.said.last().tags->helper.view() == "ftp");
    CHECK(f.said.last().tags->labels.has(2));
    CHECK(f.said.last().flow.started == at_ms(0));
    REQUIRE(f.said.last().reply);
    CHECK(f.said.last().reply->destination == ipv4(198, 51, 100, 7));
}

TEST_CASE("why a flow ended is inferred from its last state and from who asked") {
    const auto reason_of = [](std::optional<TcpState> state, bool replied, std::uint32_t port_id,
                              Protocol protocol) {
        Fixture f;
        Tuple tuple = tcp(1000, 80);
        tuple.protocol = protocol;
        f.apply(born(tuple, 1));
        FlowMessage end = destroyed(tuple, 1);
        if (replied) {
            end.status = status({StatusBit::confirmed, StatusBit::seen_reply});
        }
        if (state) {
            end.protocol_state = static_cast<std::uint8_t>(*state);
        }
        end.port_id = port_id;
        f.apply(end);
        return f.said.last().event.end;
    };
    CHECK(reason_of(TcpState::time_wait, true, 0, Protocol::tcp).reason == EndReason::tcp_close);
    CHECK(reason_of(TcpState::last_ack, true, 0, Protocol::tcp).reason == EndReason::tcp_close);
    CHECK(reason_of(TcpState::close, true, 0, Protocol::tcp).reason == EndReason::tcp_reset);
    CHECK(reason_of(TcpState::established, true, 0, Protocol::tcp).reason == EndReason::timeout);
    CHECK(reason_of(TcpState::syn_sent, false, 0, Protocol::tcp).reason == EndReason::unreplied);
    CHECK(reason_of(std::nullopt, true, 0, Protocol::udp).reason == EndReason::timeout);
    CHECK(reason_of(std::nullopt, false, 0, Protocol::udp).reason == EndReason::unreplied);
    CHECK(reason_of(TcpState::time_wait, true, 4711, Protocol::tcp).reason == EndReason::deleted);
    CHECK(reason_of(TcpState::time_wait, true, 4711, Protocol::tcp).deleted_by == 4711);
    CHECK(reason_of(TcpState::time_wait, true, 0, Protocol::tcp).outcome == Outcome::success);
    CHECK(reason_of(TcpState::syn_sent, false, 0, Protocol::tcp).outcome == Outcome::unknown);
}

TEST_CASE("what an update changed is named, and an update that changed nothing says nothing") {
    Fixture f;
    const Tuple tuple = tcp(1000, 80);
    f.apply(born(tuple, 1));
    f.apply(updated(tuple, 1));
    CHECK(f.said.story() == "start");
    FlowMessage update = updated(tuple, 1);
    update.status = status({StatusBit::confirmed, StatusBit::seen_reply, StatusBit::assured});
    update.protocol_state = static_cast<std::uint8_t>(TcpState::established);
    update.timeout_s = 432000;
    f.apply(update);
    const FlowEvent& event = f.said.last().event;
    CHECK(event.changed.has(Change::status));
    CHECK(event.changed.has(Change::protocol_state));
    CHECK(event.changed.has(Change::timeout));
    CHECK(!event.changed.has(Change::mark));
    CHECK(event.newly_assured);
    update.timeout_s = 431999;
    f.apply(update);
    CHECK(!f.said.last().event.newly_assured);
}

TEST_CASE("at its capacity the table stops inserting, still says what it is told, and warns once") {
    Fixture f({.capacity = 2});
    f.apply(born(tcp(1, 80), 1));
    f.apply(born(tcp(2, 80), 2));
    f.apply(born(tcp(3, 80), 3));
    f.apply(born(tcp(4, 80), 4));
    CHECK(f.said.story() == "start start start start");
    CHECK(f.said.last().flow.gaps.has(Gap::table_full));
    CHECK(f.table.size() == 2);
    REQUIRE(f.said.monitors.size() == 1);
    CHECK(std::get<MonitorWarning>(f.said.monitors[0].what).code == "table-full");
    CHECK(f.table.counters().refused == 2);
}

TEST_CASE(
    "after a loss each record of a flow that lived through it says so, and of one born later does not") {
    Fixture f;
    f.apply(born(tcp(1, 80), 1));
    f.table.note_loss();
    f.apply(born(tcp(2, 80), 2));
    f.apply(destroyed(tcp(1, 80), 1));
    CHECK(f.said.last().flow.gaps.has(Gap::updates_lost));
    f.apply(destroyed(tcp(2, 80), 2));
    CHECK(!f.said.last().flow.gaps.has(Gap::updates_lost));
}

TEST_CASE("gaps say that accounting and timestamps are off, and are absent where they are on") {
    Fixture f;
    f.apply(born(tcp(1, 80), 1));
    f.apply(destroyed(tcp(1, 80), 1));
    CHECK(f.said.last().flow.gaps.has(Gap::accounting_off));
    CHECK(f.said.last().flow.gaps.has(Gap::timestamps_off));
    FlowMessage first = born(tcp(2, 80), 2);
    first.event_time = at_ms(1);
    f.apply(first, 2);
    FlowMessage end = destroyed(tcp(2, 80), 2);
    end.event_time = at_ms(3);
    end.start = at_ms(1);
    end.stop = at_ms(3);
    end.original_counters = end.reply_counters = Counters{1, 1};
    f.apply(end, 4);
    CHECK(!f.said.last().flow.gaps.any());
    CHECK(f.said.last().event.at == at_ms(3));
}
