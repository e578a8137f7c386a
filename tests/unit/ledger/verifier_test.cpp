// SPDX-License-Identifier: GPL-2.0-or-later
// Each rule of the conservation law: a log that holds, and one for each way to break it.
#include "ledger/verifier.hpp"

#include <catch2/catch.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/log_text.hpp"

using flowkin::Rule;
using flowkin::Verdict;
using flowkin::Verifier;
using flowkin::test::hex16;
using flowkin::test::LogText;

namespace {

Verdict judge(const std::string& text) {
    Verifier verifier;
    verifier.begin_file("log");
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        verifier.feed(line);
    }
    return verifier.verdict();
}

Verdict judge(const LogText& log) {
    return judge(log.text());
}

void check_holds(const LogText& log) {
    const Verdict verdict = judge(log);
    INFO((verdict.violations.empty() ? "" : verdict.violations.front().text));
    CHECK(verdict.holds());
}

/// Exactly this line breaks exactly this rule.
void check_breaks(const LogText& log, std::uint64_t line, Rule rule, const std::string& part) {
    const Verdict verdict = judge(log);
    REQUIRE(verdict.violation_count == 1);
    const auto& violation = verdict.violations.front();
    CHECK(violation.position.line == line);
    CHECK(name(violation.rule) == name(rule));
    CHECK_THAT(violation.text, Catch::Contains(part));
    CHECK(verdict.violations_by_rule[static_cast<std::size_t>(rule)] == 1);
}

}  // namespace

TEST_CASE("a whole life of a run holds, and is summed up") {
    LogText log;
    log.start_fresh().open(1).seen(2).child(3, 1, 1).update(1).close(3).close(1).stop(1);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.lines == 8);
    CHECK(verdict.bytes == log.text().size());
    CHECK(verdict.runs == 1);
    CHECK(verdict.stopped);
    CHECK(verdict.opened == 3);
    CHECK(verdict.closed == 2);
    CHECK(verdict.open_at_end == 1);
    CHECK(verdict.seen_before_log == 0);
}

TEST_CASE("an empty log holds") {
    CHECK(judge(std::string()).holds());
}

// ---- lines

TEST_CASE("a torn line, a blank line and a foreign line break the law") {
    check_breaks(LogText().start_fresh().raw("{\"event\":{\"seq\n"), 2, Rule::json, "torn");
    check_breaks(LogText().start_fresh().raw("\n"), 2, Rule::json, "torn");
    check_breaks(LogText().start_fresh().raw("[1]\n"), 2, Rule::json, "JSON object");
    check_breaks(LogText().start_fresh().raw("{\"hello\":1}\n"), 2, Rule::field, "event.sequence");
}

TEST_CASE("a line of 4,095 bytes holds and one of 4,096 does not") {
    const auto padded = [](std::size_t bytes) {
        LogText log;
        log.start_fresh().flow("flow-start", 1, {0, R"(,"x":"")"});
        std::string text = log.text();
        const std::size_t line_bytes = text.size() - text.find('\n') - 2;
        text.insert(text.find(R"("x":")") + 5, std::string(bytes - line_bytes, 'x'));
        return text;
    };
    CHECK(judge(padded(4095)).holds());
    const Verdict verdict = judge(padded(4096));
    CHECK(verdict.violation_count == 1);
    CHECK(verdict.violations.at(0).rule == Rule::length);
    CHECK(verdict.opened == 1);
}

TEST_CASE("an overlong line that was not looked at breaks the law and counts") {
    Verifier verifier;
    verifier.begin_file("log");
    verifier.feed_overlong(1'000'000);
    const Verdict verdict = verifier.verdict();
    CHECK(verdict.violations_by_rule[static_cast<std::size_t>(Rule::length)] == 1);
    CHECK(verdict.bytes == 1'000'001);
}

// ---- sequence and id

TEST_CASE("event.id must name run and sequence") {
    LogText log;
    log.start_fresh().open(1);
    std::string text = log.text();
    const std::string id = hex16(0xaaaa) + hex16(2);
    text.replace(text.find(id), id.size(), hex16(0xaaaa) + hex16(3));
    const Verdict verdict = judge(text);
    REQUIRE(verdict.violation_count == 1);
    CHECK(verdict.violations[0].rule == Rule::field);
    CHECK_THAT(verdict.violations[0].text, Catch::Contains("event.id names sequence 3"));
}

TEST_CASE("monitor-start must name the run of event.id") {
    LogText log;
    log.start_fresh();
    std::string text = log.text();
    const std::string run = R"("run":")" + hex16(0xaaaa);
    text.replace(text.find(run), run.size(), R"("run":")" + hex16(0xbbbb));
    CHECK(judge(text).violations.at(0).rule == Rule::field);
}

TEST_CASE("a flow record without a uid, or with uid 0, breaks the law") {
    LogText log;
    log.start_fresh().open(0);
    CHECK(judge(log).violations.at(0).rule == Rule::field);
    std::string text = LogText().start_fresh().open(1).text();
    text.replace(text.rfind("\"uid\""), 5, "\"uix\"");
    CHECK_THAT(judge(text).violations.at(0).text, Catch::Contains("without conntrack.uid"));
}

TEST_CASE("a gap that nothing declares breaks the law at the line after it") {
    check_breaks(LogText().start_fresh().skip(1).open(1).close(1), 2, Rule::sequence, "event 2 of run");
    check_breaks(LogText().start_fresh().open(1).skip(5).close(1), 3, Rule::sequence, "events 3 to 7");
}

TEST_CASE("a gap that a record after it declares holds") {
    LogText log;
    log.start_fresh().open(1).skip(5).close(1).lost("sink-queue", 5, 3, 7).stop(0);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    const auto& loss = verdict.losses[static_cast<std::size_t>(flowkin::LogLossPlace::sink_queue)];
    CHECK(loss.records == 1);
    CHECK(loss.events == 5);
}

TEST_CASE("what of a gap is not declared breaks the law") {
    check_breaks(LogText().start_fresh().skip(6).lost("sink-queue", 5, 3, 7), 2, Rule::sequence,
                 "event 2 of run");
    check_breaks(LogText().start_fresh().skip(6).lost("sink-queue", 4, 2, 5), 2, Rule::sequence,
                 "events 6 to 7");
    CHECK(judge(LogText().start_fresh().skip(6).lost("sink-queue", 2, 4, 5)).violation_count == 2);
}

TEST_CASE("a count below what is missing breaks the law") {
    check_breaks(LogText().start_fresh().skip(6).lost("sink-write", 5, 2, 7), 2, Rule::loss, "6 are missing");
}

TEST_CASE("a range that reaches to its own line or runs backwards breaks the law") {
    check_breaks(LogText().start_fresh().lost("sink-write", 1, 2, 2), 2, Rule::loss, "what cannot be");
    check_breaks(LogText().start_fresh().open(1).close(1).lost("sink-write", 1, 3, 2), 4, Rule::loss,
                 "what cannot be");
}

TEST_CASE("losses in the kernel are summed by place and excuse no gap") {
    LogText log;
    log.start_fresh().lost("kernel-socket", 18'231).lost("kernel-socket", 9).lost("decoder", 1);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.losses[0].records == 2);
    CHECK(verdict.losses[0].events == 18'240);
    CHECK(verdict.losses[3].records == 1);
    check_breaks(LogText().start_fresh().skip(1).lost("kernel-socket", 1), 2, Rule::sequence, "event 2");
}

TEST_CASE("a sequence that comes again breaks the law once, and its record does not count") {
    check_breaks(LogText().start_fresh().open(1).go_to(2).open(1).close(1), 3, Rule::sequence, "comes again");
}

TEST_CASE("a line that comes late breaks the law, but is not missing any more") {
    LogText log;
    log.start_fresh().skip(1).open(2).go_to(2).open(1).go_to(4).close(1).close(2).stop(0);
    check_breaks(log, 3, Rule::sequence, "comes late");
}

TEST_CASE("a run whose first lines are missing breaks the law, and a log that begins later does not") {
    check_breaks(LogText().start_fresh().stop(0).run(0xbbbb, 4).open(1), 3, Rule::sequence, "events 1 to 3");
    check_holds(LogText().go_to(4).open(1));
}

// ---- flows

TEST_CASE("a flow that is opened twice, live or ended, breaks the law") {
    check_breaks(LogText().start_fresh().open(1).open(1), 3, Rule::flow, "opened twice");
    check_breaks(LogText().start_fresh().open(1).seen(1), 3, Rule::flow, "opened twice");
    check_breaks(LogText().start_fresh().open(1).close(1).open(1), 4, Rule::flow, "opened after its end");
}

TEST_CASE("nothing follows a flow's end") {
    check_breaks(LogText().start_fresh().open(1).close(1).close(1), 4, Rule::flow, "ended before");
    check_breaks(LogText().start_fresh().open(1).close(1).update(1), 4, Rule::flow, "ended before");
    check_breaks(LogText().start_fresh().open(1).close(1).flow("packet-rejected", 1), 4, Rule::flow,
                 "ended before");
    check_breaks(LogText().start_fresh().open(1).close(1).flow("an-action-of-tomorrow", 1), 4, Rule::flow,
                 "ended before");
}

TEST_CASE("nothing comes before a flow's opening, and it is told once") {
    check_breaks(LogText().start_fresh().update(1).update(1).close(1), 2, Rule::flow, "not opened before");
    check_breaks(LogText().start_fresh().close(1), 2, Rule::flow, "not opened before");
    check_breaks(LogText().start_fresh().open(5).update(3), 3, Rule::flow, "not opened before");
}

TEST_CASE("a flow opened while the table was full has no end") {
    LogText log;
    log.start_fresh().flow("flow-start", 1, {0, R"(,"gaps":["table-full"])"}).stop(0);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.beyond_table == 1);
    CHECK(verdict.open_at_end == 0);
    check_breaks(LogText().start_fresh().flow("flow-start", 1, {0, R"(,"gaps":["table-full"])"}).update(1), 3,
                 Rule::flow, "ended before");
}

TEST_CASE("a log that begins in mid-run knows flows that were opened before it") {
    LogText log;
    log.go_to(700).update(40).close(40).close(41).open(90).close(90).update(42);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.seen_before_log == 3);
    CHECK(verdict.opened == 1);
    CHECK(verdict.closed == 3);
    CHECK(verdict.open_at_end == 1);
    check_breaks(LogText().go_to(700).close(40).update(40), 2, Rule::flow, "ended before");
}

TEST_CASE("in a log that begins in mid-run, what was opened after its beginning needs its opening") {
    check_breaks(LogText().go_to(700).open(90).update(91), 2, Rule::flow, "not opened before");
}

TEST_CASE("as many openings as lines are declared lost may be missing, no more") {
    LogText log;
    log.start_fresh().skip(2).update(1).close(2).lost("sink-queue", 2, 2, 3);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.excused_by_loss == 2);
    check_breaks(LogText().start_fresh().skip(2).update(1).close(2).close(3).lost("sink-queue", 2, 2, 3), 4,
                 Rule::flow, "not opened before");
}

// ---- kin

TEST_CASE("parents, roots and children of expectations were opened earlier") {
    check_holds(
        LogText().start_fresh().open(1).close(1).child(2, 1, 1).expectation("expectation-fulfilled", 1, 2));
    check_breaks(LogText().start_fresh().open(1).child(2, 3, 1), 3, Rule::kin, "conntrack.parent.uid");
    check_breaks(LogText().start_fresh().open(1).child(2, 1, 3), 3, Rule::kin, "conntrack.lineage.root");
    check_breaks(LogText().start_fresh().expectation("expectation-created", 1, 0), 2, Rule::kin,
                 "conntrack.parent.uid");
    check_breaks(LogText().start_fresh().open(1).expectation("expectation-fulfilled", 1, 2), 3, Rule::kin,
                 "conntrack.expectation.child");
    CHECK(judge(LogText().start_fresh().child(2, 2, 2))
              .violations_by_rule[static_cast<std::size_t>(Rule::kin)] == 2);
}

TEST_CASE("a parent may have been opened before the log or among declared lost lines") {
    check_holds(LogText().go_to(700).child(90, 12, 11));
    check_holds(LogText().start_fresh().skip(1).child(2, 1, 1).lost("sink-queue", 1, 2, 2));
    check_breaks(LogText().go_to(700).open(90).child(92, 91, 90), 2, Rule::kin, "conntrack.parent.uid");
}

// ---- the stop

TEST_CASE("at a clean stop the flows that live are openings less ends") {
    check_holds(LogText().start_fresh().open(1).open(2).close(1).stop(1));
    check_breaks(LogText().start_fresh().open(1).open(2).close(1).stop(0), 5, Rule::stop,
                 "openings less ends are 1");
    check_breaks(LogText().start_fresh().open(1).close(1).stop(1), 4, Rule::stop, "openings less ends are 0");
}

TEST_CASE("each declared lost line can hide one opening or end") {
    check_holds(LogText().start_fresh().open(1).skip(1).lost("sink-queue", 1, 3, 3).stop(0));
    check_holds(LogText().start_fresh().open(1).skip(1).lost("sink-queue", 1, 3, 3).stop(2));
    check_breaks(LogText().start_fresh().open(1).skip(1).lost("sink-queue", 1, 3, 3).stop(3), 4, Rule::stop,
                 "stops with 3");
}

TEST_CASE("a log that begins in mid-run cannot know how many flows live, but not fewer than it saw") {
    LogText log;
    log.run(0xbbbb).start_restored(0xaaaa).open(1).stop(50);
    check_holds(log);
    LogText few;
    few.run(0xbbbb).start_restored(0xaaaa).open(1).open(2).stop(1);
    check_breaks(few, 4, Rule::stop, "stops with 1");
}

// ---- runs

TEST_CASE("a run that restored an earlier one goes on with its flows") {
    LogText log(0xaaaa);
    log.start_fresh().open(1).open(2).open(3).close(3).stop(2).run(0xbbbb).start_restored(0xaaaa);
    log.flow("flow-end", 1, {0xaaaa, {}}).open(1).stop(2);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.runs == 2);
    CHECK(verdict.cut_runs == 0);
    CHECK(verdict.open_at_end == 2);
}

TEST_CASE("a restored run breaks the law where it opens, repeats or ends again an earlier run's flow") {
    const auto after = [](std::string_view action, std::uint64_t counter) {
        LogText log(0xaaaa);
        log.start_fresh().open(1).open(2).close(2).stop(1).run(0xbbbb).start_restored(0xaaaa);
        return log.flow(action, counter, {0xaaaa, {}});
    };
    check_holds(after("flow-end", 1));
    check_breaks(after("flow-end", 2), 7, Rule::flow, "ended before");
    check_breaks(after("flow-end", 3), 7, Rule::flow, "not opened before");
    CHECK(judge(after("flow-start", 1)).violation_count ==
          2);  // opened twice, and by a run that is not its own
}

TEST_CASE("a run two restarts later still goes on with the first one's flows") {
    LogText log(0xaaaa);
    log.start_fresh().open(1).stop(1).run(0xbbbb).start_restored(0xaaaa).stop(1).run(0xcccc).start_restored(
        0xbbbb);
    log.flow("flow-end", 1, {0xaaaa, {}}).stop(0);
    check_holds(log);
}

TEST_CASE("a fresh run may not speak of an earlier run's flows, which it abandons") {
    LogText log(0xaaaa);
    log.start_fresh().open(1).open(2).close(2).stop(1).run(0xbbbb).start_fresh().open(1).stop(1);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.abandoned == 1);
    CHECK(verdict.open_at_end == 1);
    check_breaks(log.flow("flow-end", 1, {0xaaaa, {}}), 9, Rule::run, "does not continue");
}

TEST_CASE("a run that was cut off is counted, and openings behind its last line are excused") {
    LogText log(0xaaaa);
    log.start_fresh().open(1).open(2).run(0xbbbb).start_restored(0xaaaa);
    log.flow("flow-end", 1, {0xaaaa, {}})
        .flow("flow-update", 4, {0xaaaa, {}})
        .flow("flow-end", 3, {0xaaaa, {}})
        .stop(9);
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.cut_runs == 1);
    CHECK(verdict.excused_by_cut == 2);
    CHECK(verdict.seen_before_log == 0);
}

TEST_CASE("a run that stopped excuses nothing behind its last line") {
    LogText log(0xaaaa);
    log.start_fresh().open(1).stop(1).run(0xbbbb).start_restored(0xaaaa).flow("flow-end", 2, {0xaaaa, {}});
    check_breaks(log, 5, Rule::flow, "not opened before");
}

TEST_CASE("a log that begins with a restored run knows flows of runs before it") {
    LogText log(0xbbbb);
    log.start_restored(0xaaaa).flow("flow-end", 7, {0xaaaa, {}}).flow("flow-end", 9, {0x9999, {}});
    const Verdict verdict = judge(log);
    CHECK(verdict.holds());
    CHECK(verdict.seen_before_log == 2);
}

TEST_CASE(
    "a run that goes on after another began, or begins after the one that continues it, is out of order") {
    LogText mixed(0xaaaa);
    mixed.start_fresh().open(1).run(0xbbbb).start_fresh().run(0xaaaa, 3).close(1);
    const Verdict verdict = judge(mixed);
    CHECK_FALSE(verdict.holds());
    CHECK(verdict.violations.at(0).position.line == 4);
    CHECK_THAT(verdict.violations.at(0).text, Catch::Contains("are the files in order"));

    LogText swapped(0xbbbb);
    swapped.start_restored(0xaaaa).stop(0).run(0xaaaa).start_fresh().stop(0);
    check_breaks(swapped, 3, Rule::run, "are the files in order");
}

// ---- the verdict

TEST_CASE("of many violations the first are told and all are counted") {
    LogText log;
    log.start_fresh();
    for (std::uint64_t i = 1; i <= 3000; ++i) {
        log.update(2 * i);
    }
    const Verdict verdict = judge(log);
    CHECK(verdict.violation_count == 3000);
    CHECK(verdict.violations.size() == Verdict::violations_told);
    CHECK(verdict.violations.front().position.line == 2);
    CHECK(verdict.violations.back().position.line == 1001);
}

TEST_CASE("violations are told in the log's order, file by file") {
    Verifier verifier;
    const auto feed = [&](const std::string& text) {
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            verifier.feed(line);
        }
    };
    verifier.begin_file("old");
    feed(LogText().start_fresh().skip(1).open(1).text());
    verifier.begin_file("new");
    feed(LogText().go_to(4).open(1).go_to(7).close(1).text());
    const Verdict verdict = verifier.verdict();
    REQUIRE(verdict.violation_count == 3);
    std::ostringstream out;
    print(verdict, out);
    CHECK_THAT(out.str(), Catch::StartsWith("old:2: event 2 of run 000000000000aaaa"));
    CHECK_THAT(out.str(),
               Catch::Contains("\nnew:1: flow 000000000000aaaa0000000000000001 is opened twice\nnew:2: "));
    CHECK_THAT(out.str(), Catch::Contains("broken: 3 violations (sequence 2, flow 1)"));
}

TEST_CASE("a verdict that holds is printed with its sums") {
    LogText log;
    log.start_fresh().open(1).open(2).close(1).lost("kernel-socket", 7).stop(1);
    std::ostringstream out;
    print(judge(log), out);
    CHECK(out.str() == "log       6 lines, " + std::to_string(log.text().size()) + " bytes, 1 run\n" +
                           "flows     2 opened, 1 closed, 1 open at the end\n"
                           "losses    kernel-socket: 7 events, 1 record\n"
                           "verdict   the conservation law holds\n");
}
