// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <vector>

#include "recorder.hpp"

using namespace flowkin;
using namespace flowkin::test;

namespace {

const Tuple master = tcp(40000, 21);
const Tuple child = tcp(40001, 50000);
const Tuple grandchild = tcp(40002, 50001);

FlowMessage master_born(Mark mark) {
    FlowMessage made = with_mark(born(master, 1), mark);
    made.helper = HelperName("ftp");
    return made;
}

}  // namespace

TEST_CASE("a child knows its parent, its root and the helper, on every record to its end") {
    Fixture f;
    f.apply(master_born(0x11));
    f.apply(with_master(with_mark(born(child, 2), 0x11), master));
    f.apply(with_mark(destroyed(child, 2), 0x11));
    for (const Said& said : {f.said.flows[1], f.said.flows[2]}) {
        REQUIRE(said.lineage);
        CHECK(said.lineage->parent == FlowUid{7, 1});
        CHECK(said.lineage->root == FlowUid{7, 1});
        CHECK(said.lineage->depth == 1);
        CHECK(said.lineage->parent_kernel_id == 1);
        CHECK(said.lineage->parent_helper.view() == "ftp");
    }
}

TEST_CASE("a grandchild's root is the eldest, its parent the nearest") {
    Fixture f;
    f.apply(master_born(1));
    f.apply(with_master(born(child, 2), master));
    f.apply(with_master(born(grandchild, 3), child));
    CHECK(f.said.last().lineage->parent == FlowUid{7, 2});
    CHECK(f.said.last().lineage->root == FlowUid{7, 1});
    CHECK(f.said.last().lineage->depth == 2);
}

TEST_CASE("a child keeps its parent's uid when the parent dies and its tuple begins anew") {
    Fixture f;
    f.apply(master_born(0x11));
    f.apply(with_master(with_mark(born(child, 2), 0x11), master));
    f.apply(with_mark(destroyed(master, 1), 0x11));
    f.apply(with_mark(born(master, 9), 0x11));
    f.apply(with_mark(destroyed(child, 2), 0x11));
    CHECK(f.said.last().lineage->parent == FlowUid{7, 1});
    CHECK(f.said.last().flow.mark_origin == MarkOrigin::inherited);
}

TEST_CASE("a child met before its parent keeps the tuple, and is not given a parent later") {
    Fixture f;
    f.apply(with_master(with_mark(born(child, 2), 3), master));
    f.apply(master_born(3));
    f.apply(with_mark(destroyed(child, 2), 3));
    REQUIRE(f.said.last().lineage);
    CHECK(!f.said.last().lineage->parent);
    CHECK(f.said.last().lineage->parent_tuple == master);
    CHECK(f.said.last().lineage->depth == 0);
    CHECK(f.said.last().flow.mark_origin == MarkOrigin::none);
}

TEST_CASE("in a dump a child may stand before its parent and is linked all the same") {
    Fixture f;
    f.table.begin_reconcile(at_ms(0));
    f.apply(with_start(with_master(dumped(child, 2), master), at_ms(-5)));
    f.apply(with_start(dumped(master, 1), at_ms(-10)));
    CHECK(f.finish(1));
    CHECK(f.said.story() == "seen seen");
    CHECK(f.said.last().lineage->parent == FlowUid{7, 1});
    CHECK(f.said.last().flow.key.original == child);
}

TEST_CASE("a link learnt from a dump is believed only if the parent is older") {
    Fixture f;
    f.table.begin_reconcile(at_ms(0));
    f.apply(with_start(dumped(master, 1), at_ms(-5)));
    f.apply(with_start(with_master(dumped(child, 2), master), at_ms(-10)));
    CHECK(f.finish(1));
    REQUIRE(f.said.last().lineage);
    CHECK(!f.said.last().lineage->parent);
    CHECK(f.said.last().lineage->parent_tuple == master);
}

TEST_CASE("a link learnt from a dump without timestamps is not believed") {
    Fixture f;
    f.table.begin_reconcile(at_ms(0));
    f.apply(dumped(master, 1));
    f.apply(with_master(dumped(child, 2), master));
    CHECK(f.finish(1));
    CHECK(!f.said.last().lineage->parent);
}

TEST_CASE("a child whose NEW was lost learns its parent from the next dump, and keeps it to its end") {
    Fixture f;
    f.apply(with_start(master_born(0x11), at_ms(-10)));
    FlowMessage update = with_mark(updated(child, 2), 0x11);
    update.status = status({StatusBit::confirmed, StatusBit::expected});
    f.apply(update);
    CHECK(!f.said.last().lineage);
    f.table.begin_reconcile(at_ms(10));
    f.apply(with_start(with_mark(dumped(master, 1), 0x11), at_ms(-10)));
    f.apply(with_start(with_master(with_mark(dumped(child, 2), 0x11), master), at_ms(-5)));
    CHECK(f.finish(11));
    f.apply(with_mark(destroyed(child, 2), 0x11), 20);
    REQUIRE(f.said.last().lineage);
    CHECK(f.said.last().lineage->parent == FlowUid{7, 1});
    CHECK(f.said.last().lineage->root == FlowUid{7, 1});
    CHECK(f.said.last().flow.mark_origin == MarkOrigin::inherited);
    CHECK(f.said.story() == "start seen end");
}

TEST_CASE(
    "a child whose NEW was lost may stand before its parent in the dump, and an event may come between") {
    Fixture f;
    f.apply(updated(child, 2));
    f.table.begin_reconcile(at_ms(10));
    f.apply(with_start(with_master(dumped(child, 2), master), at_ms(-5)));
    f.apply(with_start(dumped(master, 1), at_ms(-10)));
    FlowMessage update = updated(child, 2);
    update.status = status({StatusBit::confirmed, StatusBit::assured});
    f.apply(update, 11);
    CHECK(f.finish(12));
    f.apply(destroyed(child, 2), 20);
    REQUIRE(f.said.last().lineage);
    CHECK(f.said.last().lineage->parent == FlowUid{7, 2});
}

TEST_CASE("a mark that equals the parent's at birth is inherited; one that a rule overwrote is the rule's") {
    Fixture f;
    f.apply(master_born(0x11));
    f.apply(with_master(with_mark(born(child, 2), 0x11), master));
    CHECK(f.said.last().flow.mark_origin == MarkOrigin::inherited);
    f.apply(with_master(with_mark(born(grandchild, 3), 0x22), master));
    CHECK(f.said.last().flow.mark_origin == MarkOrigin::rule);
    CHECK(f.said.flows[0].flow.mark_origin == MarkOrigin::rule);
}

TEST_CASE("an inherited mark diverges when it changes on the child") {
    Fixture f;
    f.apply(master_born(0x11));
    f.apply(with_master(with_mark(born(child, 2), 0x11), master));
    f.apply(with_mark(updated(child, 2), 0xbb), 3);
    CHECK(f.said.last().event.action == FlowAction::mark_changed);
    CHECK(f.said.last().flow.mark_origin == MarkOrigin::diverged);
    CHECK(f.said.last().flow.mark_previous == 0x11);
    CHECK(f.said.last().flow.mark_changes == 1);
}

TEST_CASE("an inherited mark diverges when it changes on the parent, and the child's next record says so") {
    Fixture f;
    f.apply(master_born(0x11));
    f.apply(with_master(with_mark(born(child, 2), 0x11), master));
    f.apply(with_mark(updated(master, 1), 0xaa));
    CHECK(f.said.flows.size() == 3);
    f.apply(with_mark(destroyed(child, 2), 0x11));
    CHECK(f.said.last().flow.mark_origin == MarkOrigin::diverged);
    CHECK(f.said.last().flow.mark_changes == 0);
}

TEST_CASE("siblings come and go in any order without harm to the family") {
    Fixture f;
    f.apply(master_born(1));
    for (std::uint16_t i = 0; i < 5; ++i) {
        f.apply(
            with_master(with_mark(born(tcp(static_cast<std::uint16_t>(100 + i), 200), 10U + i), 1), master));
    }
    for (const std::uint16_t i : {std::uint16_t{2}, std::uint16_t{0}, std::uint16_t{4}}) {
        f.apply(with_mark(destroyed(tcp(static_cast<std::uint16_t>(100 + i), 200), 10U + i), 1));
    }
    f.apply(with_mark(updated(master, 1), 9));
    f.apply(with_mark(destroyed(master, 1), 9));
    for (const std::uint16_t i : {std::uint16_t{1}, std::uint16_t{3}}) {
        f.apply(with_mark(destroyed(tcp(static_cast<std::uint16_t>(100 + i), 200), 10U + i), 1));
        CHECK(f.said.last().flow.mark_origin == MarkOrigin::diverged);
    }
    CHECK(f.table.size() == 0);
}

TEST_CASE("the last eight marks of a flow are kept, oldest first") {
    Fixture f;
    f.apply(with_mark(born(child, 2), 1));
    for (std::uint32_t mark = 2; mark <= 12; ++mark) {
        f.apply(with_mark(updated(child, 2), mark), mark);
    }
    REQUIRE(f.said.last().marks);
    CHECK(f.said.last().marks->count == 8);
    CHECK(f.said.last().marks->entries[0].mark == 5);
    CHECK(f.said.last().marks->entries[7].mark == 12);
    CHECK(f.said.last().marks->entries[7].since == at_ms(12));
    CHECK(f.said.last().flow.mark_changes == 11);
}

namespace {

ExpectationMessage expectation(ExpectationMessageKind kind) {
    ExpectationMessage made;
    made.kind = kind;
    made.expected = tcp(0, child.destination_port);
    made.mask = {};
    made.mask.source.bytes.fill(0xff);
    made.mask.destination.bytes.fill(0xff);
    made.mask.destination_port = 0xffff;
    made.master = master;
    made.id = 77;
    made.helper = HelperName("ftp");
    return made;
}

}  // namespace

TEST_CASE("an expectation is created, and fulfilled by the child that comes after it is gone") {
    Fixture f;
    f.apply(master_born(1));
    f.table.apply(expectation(ExpectationMessageKind::created), at_ms(1));
    f.table.apply(expectation(ExpectationMessageKind::destroyed), at_ms(2));
    f.apply(with_master(born(child, 2), master), 2);
    f.table.tick(at_ms(10'000));
    REQUIRE(f.said.expectations.size() == 2);
    CHECK(f.said.expectations[0].action == ExpectationAction::created);
    CHECK(f.said.expectations[0].lineage.parent == FlowUid{7, 1});
    CHECK(f.said.expectations[1].action == ExpectationAction::fulfilled);
    CHECK(f.said.expectations[1].child == FlowUid{7, 2});
}

TEST_CASE("an expectation whose child never comes is ended after a while") {
    Fixture f;
    f.apply(master_born(1));
    f.table.apply(expectation(ExpectationMessageKind::created), at_ms(1));
    f.table.apply(expectation(ExpectationMessageKind::destroyed), at_ms(2));
    f.table.tick(at_ms(900));
    CHECK(f.said.expectations.size() == 1);
    f.table.tick(at_ms(1100));
    REQUIRE(f.said.expectations.size() == 2);
    CHECK(f.said.expectations[1].action == ExpectationAction::ended);
}

TEST_CASE("an expectation may precede its master's own NEW") {
    Fixture f;
    f.table.apply(expectation(ExpectationMessageKind::created), at_ms(0));
    CHECK(!f.said.expectations[0].lineage.parent);
    CHECK(f.said.expectations[0].lineage.parent_tuple == master);
    f.apply(master_born(1), 1);
    f.table.apply(expectation(ExpectationMessageKind::destroyed), at_ms(2));
    f.apply(with_master(born(child, 2), master), 2);
    REQUIRE(f.said.expectations.size() == 2);
    CHECK(f.said.expectations[1].lineage.parent == FlowUid{7, 1});
}

TEST_CASE("a permanent expectation is fulfilled by each child and does not end unfulfilled") {
    Fixture f;
    f.apply(master_born(1));
    f.table.apply(expectation(ExpectationMessageKind::created), at_ms(1));
    f.apply(with_master(born(child, 2), master), 2);
    f.apply(with_master(born(tcp(40009, child.destination_port), 3), master), 3);
    f.table.apply(expectation(ExpectationMessageKind::destroyed), at_ms(4));
    f.table.tick(at_ms(9000));
    REQUIRE(f.said.expectations.size() == 3);
    CHECK(f.said.expectations[2].action == ExpectationAction::fulfilled);
    CHECK(f.said.expectations[2].child == FlowUid{7, 3});
}

TEST_CASE("a flow that the mask does not match fulfils nothing") {
    Fixture f;
    f.apply(master_born(1));
    f.table.apply(expectation(ExpectationMessageKind::created), at_ms(1));
    f.apply(with_master(born(tcp(40009, 9), 3), master), 3);
    CHECK(f.said.expectations.size() == 1);
}

TEST_CASE("a restored child that inherited a mark has diverged where its living parent's is another by now") {
    Fixture before;
    before.apply(master_born(0x11));
    before.apply(with_master(with_mark(born(child, 2), 0x11), master));
    std::vector<FlowRecord> records;
    before.table.visit(0, 16, [&](const FlowView& view) {
        FlowRecord record;
        record.flow = *view.flow;
        if (view.lineage != nullptr) {
            record.lineage = *view.lineage;
        }
        records.push_back(record);
    });
    for (const Mark parents_mark : {Mark{0x11}, Mark{0x99}}) {
        Fixture after;
        for (FlowRecord record : records) {
            if (!record.lineage) {
                record.flow.mark = parents_mark;  // said after the child's last record
            }
            REQUIRE(after.table.restore(record));
        }
        after.table.relink();
        after.apply(with_mark(destroyed(child, 2), 0x11));
        CHECK(after.said.last().flow.mark_origin ==
              (parents_mark == 0x11 ? MarkOrigin::inherited : MarkOrigin::diverged));
    }
}
