// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "recorder.hpp"

using namespace flowkin;
using namespace flowkin::test;

namespace {
const Tuple tuple = tcp(1000, 80);
}

TEST_CASE("a dump opens what is not known as seen, and the sweep ends what neither dump nor event spoke of") {
    Fixture f;
    f.apply(born(tcp(1, 80), 1));
    f.apply(born(tcp(2, 80), 2));
    f.table.begin_reconcile(at_ms(10));
    f.apply(dumped(tcp(2, 80), 2), 11);
    f.apply(dumped(tcp(3, 80), 3), 11);
    CHECK(f.finish(12));
    CHECK(f.said.story() == "start start seen end");
    CHECK(f.said.last().flow.key.original == tcp(1, 80));
    CHECK(f.said.last().event.end.reason == EndReason::vanished);
    CHECK(f.said.last().event.observed == Observed::reconcile);
    CHECK(f.said.last().event.end.window->earliest == at_ms(0));
    CHECK(f.said.last().event.end.window->latest == at_ms(12));
    const ReconcileCounts counts = f.table.reconcile_counts();
    CHECK(counts.dumped == 2);
    CHECK(counts.discovered == 1);
    CHECK(counts.ended == 1);
    CHECK(counts.unchanged == 1);
}

TEST_CASE("a flow whose NEW comes after it was dumped is opened once") {
    Fixture f;
    f.table.begin_reconcile(at_ms(0));
    f.apply(dumped(tuple, 1), 1);
    f.apply(born(tuple, 1), 2);
    CHECK(f.finish(3));
    CHECK(f.said.story() == "seen");
    CHECK(f.table.find({tuple, {}})->flow->has_start);
}

TEST_CASE("a flow whose NEW comes just after the reconcile that found it is opened once") {
    Fixture f;
    f.table.begin_reconcile(at_ms(0));
    f.apply(dumped(tuple, 1), 1);
    CHECK(f.finish(2));
    f.apply(born(tuple, 1), 3);
    CHECK(f.said.story() == "seen");
    f.apply(born(tuple, 1), 4);  // and this is another life
    CHECK(f.said.story() == "seen end start");
}

TEST_CASE("a NEW long after the reconcile that found its flow is another life") {
    Fixture f;
    f.table.begin_reconcile(at_ms(0));
    f.apply(dumped(tuple, 1), 1);
    CHECK(f.finish(2));
    f.apply(born(tuple, 1), 5000);
    CHECK(f.said.story() == "seen end start");
}

TEST_CASE("a flow that is dumped after its NEW was read is opened once") {
    Fixture f;
    f.table.begin_reconcile(at_ms(0));
    f.apply(born(tuple, 1), 1);
    f.apply(dumped(tuple, 1), 2);
    CHECK(f.finish(3));
    CHECK(f.said.story() == "start");
}

TEST_CASE("an entry that is dumped after its DESTROY was read stays dead") {
    Fixture f;
    f.apply(born(tuple, 1));
    f.table.begin_reconcile(at_ms(1));
    f.apply(destroyed(tuple, 1), 2);
    f.apply(dumped(tuple, 1), 3);
    CHECK(f.finish(4));
    CHECK(f.said.story() == "start end");
    CHECK(f.table.size() == 0);
}

TEST_CASE(
    "an entry that is dumped after its DESTROY, while its key lives anew under the same id, harms nobody") {
    Fixture f;
    f.apply(born(tuple, 1));
    f.table.begin_reconcile(at_ms(1));
    f.apply(destroyed(tuple, 1), 2);
    f.apply(born(tuple, 1), 3);
    f.apply(with_mark(dumped(tuple, 1), 99), 4);
    CHECK(f.finish(5));
    CHECK(f.said.story() == "start end start");
    CHECK(f.table.size() == 1);
    CHECK(f.table.find({tuple, {}})->flow->mark == 0);
}

TEST_CASE(
    "a DESTROY that comes after a sweep has ended its flow is stale, that of the key's next life is not") {
    Fixture f;
    f.apply(born(tuple, 1));
    f.table.begin_reconcile(at_ms(1));
    CHECK(f.finish(2));
    f.apply(destroyed(tuple, 1), 3);
    CHECK(f.said.story() == "start end");
    CHECK(f.table.counters().stale == 1);
    f.apply(born(tuple, 1), 4);
    f.apply(destroyed(tuple, 1), 5);
    CHECK(f.said.story() == "start end start end");
}

TEST_CASE("what an event said since the dump began wins over the dump") {
    Fixture f;
    f.apply(with_mark(born(tuple, 1), 5));
    f.table.begin_reconcile(at_ms(1));
    f.apply(with_mark(updated(tuple, 1), 6), 2);
    FlowMessage old = with_mark(dumped(tuple, 1), 5);
    old.original_counters = old.reply_counters = Counters{4, 400};
    f.apply(old, 3);
    CHECK(f.finish(4));
    CHECK(f.said.story() == "start mark");
    const FlowView view = *f.table.find({tuple, {}});
    CHECK(view.flow->mark == 6);
    CHECK(view.flow->original_counters.bytes == 400);
}

TEST_CASE("a mark whose UPDATE was lost is learnt from the dump and said") {
    Fixture f;
    f.apply(with_mark(born(tuple, 1), 5));
    f.table.begin_reconcile(at_ms(1));
    f.apply(with_mark(dumped(tuple, 1), 6), 2);
    CHECK(f.finish(3));
    CHECK(f.said.story() == "start mark");
    CHECK(f.said.last().event.observed == Observed::reconcile);
    CHECK(f.said.last().flow.mark_previous == 5);
}

TEST_CASE("a key that is dumped under another id has lost a life: the old one ends as replaced") {
    Fixture f;
    f.apply(born(tuple, 1));
    f.table.begin_reconcile(at_ms(1));
    f.apply(dumped(tuple, 2), 2);
    f.apply(destroyed(tuple, 1), 3);  // still queued when the dump was taken
    f.apply(born(tuple, 2), 4);
    CHECK(f.finish(5));
    CHECK(f.said.story() == "start end seen");
    CHECK(f.said.flows[1].event.end.reason == EndReason::replaced);
    CHECK(f.table.size() == 1);
}

TEST_CASE("a dump entry of an older id than a NEW that was read is ignored") {
    Fixture f;
    f.table.begin_reconcile(at_ms(1));
    f.apply(born(tuple, 2), 2);
    f.apply(dumped(tuple, 1), 3);
    CHECK(f.finish(4));
    CHECK(f.said.story() == "start");
}

TEST_CASE(
    "an entry that is dumped as it dies opens nothing, for its DESTROY may have been read before the dump") {
    Fixture f;
    f.apply(born(tuple, 1));
    f.apply(destroyed(tuple, 1), 1);
    f.table.begin_reconcile(at_ms(2));
    FlowMessage dying = dumped(tuple, 1);
    dying.status = status({StatusBit::confirmed, StatusBit::dying});
    f.apply(dying, 3);
    CHECK(f.finish(4));
    CHECK(f.said.story() == "start end");
}

TEST_CASE("an abandoned reconcile ends nothing, and the next one starts afresh") {
    Fixture f;
    f.apply(born(tcp(1, 80), 1));
    f.table.begin_reconcile(at_ms(1));
    f.table.abandon_reconcile(at_ms(2));
    CHECK(f.said.story() == "start");
    f.table.begin_reconcile(at_ms(3));
    CHECK(f.finish(4));
    CHECK(f.said.story() == "start end");
}

TEST_CASE("the sweep goes in slices, and what is born between them stays") {
    Fixture f;
    for (std::uint16_t port = 1; port <= 3000; ++port) {
        f.apply(born(tcp(port, 80), port));
    }
    f.table.begin_reconcile(at_ms(1));
    int slices = 0;
    while (!f.table.finish_reconcile(at_ms(2), 100)) {
        ++slices;
        f.apply(
            born(tcp(static_cast<std::uint16_t>(5000 + slices), 80), 9000U + static_cast<unsigned>(slices)),
            2);
    }
    CHECK(slices >= 29);
    CHECK(f.table.size() == static_cast<std::size_t>(slices));
    CHECK(f.table.reconcile_counts().ended == 3000);
}

TEST_CASE("a second reconcile knows that what the first one saw was alive when it began") {
    Fixture f;
    f.apply(born(tuple, 1), 0);
    f.table.begin_reconcile(at_ms(100));
    f.apply(dumped(tuple, 1), 101);
    CHECK(f.finish(102));
    f.table.begin_reconcile(at_ms(200));
    CHECK(f.finish(201));
    CHECK(f.said.last().event.end.window->earliest >= at_ms(100));
}

TEST_CASE("an old flow writes flow-active at each dump when its interval has passed, with what came since") {
    Fixture f({.active_interval = std::chrono::seconds(10)});
    f.apply(born(tuple, 1), 0);
    const auto dump = [&](std::int64_t ms, std::uint64_t bytes) {
        f.table.begin_reconcile(at_ms(ms));
        FlowMessage entry = dumped(tuple, 1);
        entry.original_counters = Counters{bytes / 100, bytes};
        entry.reply_counters = Counters{0, 0};
        f.apply(entry, ms);
        CHECK(f.finish(ms));
    };
    dump(5'000, 100);
    CHECK(f.said.story() == "start");
    dump(10'000, 1000);
    CHECK(f.said.story() == "start active");
    REQUIRE(f.said.last().event.delta);
    CHECK(f.said.last().event.delta->original.bytes == 1000);
    dump(21'000, 1500);
    CHECK(f.said.last().event.delta->original.bytes == 500);
    CHECK(f.said.last().event.delta->interval == std::chrono::seconds(11));
    dump(40'000, 200);  // somebody zeroed the counters
    CHECK(f.said.last().event.delta->original.bytes == 200);
    CHECK(f.said.last().flow.gaps.has(Gap::counters_reset));
}
