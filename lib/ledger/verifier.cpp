// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/verifier.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace flowkin {

namespace {

/// Newline not counted: docs/event-format.md says "under 4,096 bytes".
constexpr std::size_t longest_line = 4095;

/// A chain of runs longer than this is not walked to its end: what lies beyond is taken on trust.
constexpr unsigned longest_chain = 4096;

std::string hex(std::uint64_t value) {
    std::string text(16, '0');
    for (std::size_t i = text.size(); value != 0; value >>= 4U) {
        text[--i] = "0123456789abcdef"[value & 0xfU];
    }
    return text;
}

std::string hex(const Uid& uid) {
    return hex(uid.run) + hex(uid.counter);
}

std::uint64_t add_capped(std::uint64_t a, std::uint64_t b) {
    return b > std::numeric_limits<std::uint64_t>::max() - a ? std::numeric_limits<std::uint64_t>::max()
                                                             : a + b;
}

std::string events(std::uint64_t first, std::uint64_t last) {
    return first == last ? "event " + std::to_string(first)
                         : "events " + std::to_string(first) + " to " + std::to_string(last);
}

}  // namespace

void Verifier::begin_file(std::string name) {
    position_ = {verdict_.files.size(), 0};
    verdict_.files.push_back(std::move(name));
}

void Verifier::feed_overlong(std::uint64_t line_bytes) {
    ++position_.line;
    ++verdict_.lines;
    verdict_.bytes += line_bytes + 1;
    violate(Rule::length, [&] { return "a line of " + std::to_string(line_bytes) + " bytes"; });
}

void Verifier::feed(std::string_view line) {
    ++position_.line;
    ++verdict_.lines;
    verdict_.bytes += line.size() + 1;
    if (line.size() > longest_line) {
        violate(Rule::length, [&] { return "a line of " + std::to_string(line.size()) + " bytes"; });
    }
    if (!read_record(line, record_)) {
        violate(Rule::json, [] { return "not a whole JSON object: torn or foreign"; });
        return;
    }
    check_form(record_);
    const std::uint64_t sequence = record_.sequence ? *record_.sequence
                                   : record_.id     ? record_.id->counter
                                                    : 0;
    if (sequence == 0 || (!record_.id && current_ == nullptr)) {
        return;
    }
    if (record_.id && (current_ == nullptr || record_.id->run != current_->id)) {
        enter_run(record_.id->run, sequence);
    }
    if (!check_sequence(sequence)) {
        return;
    }
    check_kin(record_);
    switch (record_.action) {
        case LogAction::events_lost:
            declare_loss(record_, sequence);
            break;
        case LogAction::monitor_start:
            start(record_);
            break;
        case LogAction::monitor_stop:
            stop(record_);
            break;
        case LogAction::flow_opening:
        case LogAction::flow_end:
        case LogAction::other:
            follow(record_);
            break;
    }
}

void Verifier::check_form(const LogRecord& record) {
    if (record.malformed != nullptr) {
        violate(Rule::field,
                [&] { return std::string(record.malformed) + " is not well formed, or stands twice"; });
        return;
    }
    if (!record.sequence || !record.id || *record.sequence == 0) {
        violate(Rule::field, [] { return "no event.sequence from 1, or no event.id"; });
        return;
    }
    if (record.id->counter != *record.sequence) {
        violate(Rule::field, [&] {
            return "event.id names sequence " + std::to_string(record.id->counter) + ", event.sequence is " +
                   std::to_string(*record.sequence);
        });
    }
    if (record.monitor_run && *record.monitor_run != record.id->run) {
        violate(Rule::field, [&] { return "conntrack.monitor.run is not the run of event.id"; });
    }
    const bool of_flow = record.action == LogAction::flow_opening || record.action == LogAction::flow_end;
    if (of_flow && !record.uid) {
        violate(Rule::field, [] { return "a flow record without conntrack.uid"; });
    }
    for (const auto* uid : {&record.uid, &record.parent, &record.root, &record.child}) {
        if (*uid && (*uid)->counter == 0) {
            violate(Rule::field, [] { return "a uid whose counter is 0"; });
        }
    }
}

void Verifier::enter_run(std::uint64_t id, std::uint64_t sequence) {
    Run* const before = current_;
    current_ = &run(id);
    const bool again = std::exchange(current_->met, true);
    if (!again) {
        ++verdict_.runs;
        chain_.runs.push_back(current_);
    }
    if (before == nullptr) {
        current_->begun = sequence == 1;
        current_->first_sequence = sequence;
        current_->last_sequence = sequence - 1;
        return;
    }
    before->cut |= !before->stopped;
    if (again) {
        violate(Rule::run, [&] {
            return "run " + hex(id) + " goes on after run " + hex(before->id) +
                   ": are the files in order, oldest first?";
        });
        return;
    }
    current_->begun = true;
    current_->first_sequence = 1;
    if (current_->continued) {
        violate(Rule::run, [&] {
            return "run " + hex(id) +
                   " begins after a run that continues it: are the files in order, oldest first?";
        });
    }
}

bool Verifier::check_sequence(std::uint64_t sequence) {
    if (sequence > current_->last_sequence) {
        if (sequence - current_->last_sequence > 1) {
            add_missing(current_->last_sequence + 1, sequence - 1);
        }
        current_->last_sequence = sequence;
        return true;
    }
    const bool late =
        sequence < current_->first_sequence || current_->missing.remove(sequence, sequence) != 0;
    violate(Rule::sequence, [&] {
        return "event " + std::to_string(sequence) + " of run " + hex(current_->id) +
               (late ? " comes late: " : " comes again: ") + std::to_string(current_->last_sequence) +
               " was before it";
    });
    return late;
}

void Verifier::add_missing(std::uint64_t first, std::uint64_t last) {
    const std::uint64_t lines = last - first + 1;
    current_->missing.add(first, last, position_);
    current_->missing_lines = add_capped(current_->missing_lines, lines);
    chain_.missing_lines = add_capped(chain_.missing_lines, lines);
}

void Verifier::check_kin(const LogRecord& record) {
    check_reference(record.parent, "conntrack.parent.uid");
    check_reference(record.root, "conntrack.lineage.root");
    check_reference(record.child, "conntrack.expectation.child");
}

void Verifier::check_reference(const std::optional<Uid>& uid, std::string_view field) {
    if (!uid || uid->counter == 0) {
        return;
    }
    const Run& of = run(uid->run);
    const bool unseen = !of.begun && (of.least_opened == 0 || uid->counter < of.least_opened);
    if (of.known.contains(uid->counter) || unseen || of.missing_lines != 0 ||
        (of.cut && uid->counter > of.greatest_opened)) {
        return;
    }
    violate(Rule::kin, [&] { return std::string(field) + ' ' + hex(*uid) + " was not opened before"; });
}

void Verifier::follow(const LogRecord& record) {
    if (!record.uid || record.uid->counter == 0) {
        return;
    }
    const Uid& uid = *record.uid;
    Run& of = run(uid.run);
    if (&of != current_ && !goes_on_with(uid.run)) {
        violate(Rule::run, [&] {
            return "flow " + hex(uid) + " is of a run that run " + hex(current_->id) + " does not continue";
        });
        return;
    }
    if (record.action == LogAction::flow_opening) {
        open(of, record);
        return;
    }
    if (!of.live.contains(uid.counter) && !meet_unopened(of, uid)) {
        return;
    }
    if (record.action == LogAction::flow_end) {
        of.live.erase(uid.counter);
        ++verdict_.closed;
    }
}

void Verifier::open(Run& run, const LogRecord& record) {
    const Uid& uid = *record.uid;
    if (&run != current_) {
        violate(Rule::flow, [&] { return "flow " + hex(uid) + " is opened by a run that is not its own"; });
    }
    if (!run.known.insert(uid.counter)) {
        violate(Rule::flow, [&] {
            return "flow " + hex(uid) +
                   (run.live.contains(uid.counter) ? " is opened twice" : " is opened after its end");
        });
        return;
    }
    ++verdict_.opened;
    run.least_opened = run.least_opened == 0 ? uid.counter : std::min(run.least_opened, uid.counter);
    run.greatest_opened = std::max(run.greatest_opened, uid.counter);
    if (record.table_full) {
        ++verdict_.beyond_table;
        return;
    }
    run.live.insert(uid.counter);
}

/// A record of a flow that does not live as far as the log goes. False where nothing may follow from it.
bool Verifier::meet_unopened(Run& run, const Uid& uid) {
    if (!run.known.insert(uid.counter)) {
        violate(Rule::flow, [&] { return "flow " + hex(uid) + " was ended before"; });
        return false;
    }
    run.live.insert(uid.counter);
    if (!run.begun && (run.least_opened == 0 || uid.counter < run.least_opened)) {
        ++verdict_.seen_before_log;
    } else if (run.cut && uid.counter > run.greatest_opened) {
        ++verdict_.excused_by_cut;
    } else if (run.excused < run.missing_lines) {
        ++run.excused;
        ++verdict_.excused_by_loss;
    } else {
        violate(Rule::flow, [&] { return "flow " + hex(uid) + " was not opened before"; });
    }
    return true;
}

void Verifier::declare_loss(const LogRecord& record, std::uint64_t sequence) {
    DeclaredLoss& declared = verdict_.losses[static_cast<std::size_t>(record.loss_place)];
    ++declared.records;
    if (record.loss_count) {
        declared.events = add_capped(declared.events, *record.loss_count);
    } else {
        ++declared.uncounted;
    }
    if (!record.loss_first_sequence && !record.loss_last_sequence) {
        return;
    }
    const std::uint64_t first = record.loss_first_sequence.value_or(0);
    const std::uint64_t last = record.loss_last_sequence.value_or(0);
    if (first == 0 || last < first || last >= sequence) {
        violate(Rule::loss, [&] {
            return "declares lost what cannot be: " + std::to_string(first) + " to " + std::to_string(last) +
                   ", itself being " + std::to_string(sequence);
        });
        return;
    }
    const std::uint64_t missing = current_->missing.remove(first, last);
    if (record.loss_count && missing > *record.loss_count) {
        violate(Rule::loss, [&] {
            return "declares " + std::to_string(*record.loss_count) + " of " + events(first, last) +
                   " lost, but " + std::to_string(missing) + " are missing";
        });
    }
}

void Verifier::start(const LogRecord& record) {
    current_->start_seen = true;
    if (record.continues && record.previous_run && *record.previous_run != current_->id) {
        Run& previous = run(*record.previous_run);
        current_->previous = previous.id;
        previous.continued = true;
        // In a chain without a break the run before the last entered is the one continued, and it had
        // stopped.
        const bool next_in_line = chain_.runs.size() < 2 || chain_.runs[chain_.runs.size() - 2] == &previous;
        if (!next_in_line || previous.cut) {
            chain_.exact = false;
        }
        return;
    }
    for (Run* const left : chain_.runs) {
        if (left != current_) {
            verdict_.abandoned += left->live.size();
            left->live.clear();
        }
    }
    chain_ = Chain{{current_}, current_->begun, true, current_->missing_lines};
}

void Verifier::stop(const LogRecord& record) {
    current_->stopped = true;
    if (!record.flows_live || !current_->start_seen || !chain_.exact) {
        return;
    }
    // Each missing line can hide one opening or one end.
    const std::uint64_t live = live_in_chain();
    const bool too_many = live > add_capped(*record.flows_live, chain_.missing_lines);
    const bool too_few = chain_.from_fresh && *record.flows_live > add_capped(live, chain_.missing_lines);
    if (too_many || too_few) {
        violate(Rule::stop, [&] {
            return "stops with " + std::to_string(*record.flows_live) +
                   " flows that live, but openings less ends are " + std::to_string(live);
        });
    }
}

std::uint64_t Verifier::live_in_chain() const {
    std::uint64_t live = 0;
    for (const Run* const run : chain_.runs) {
        live += run->live.size();
    }
    return live;
}

/// Whether the current run may speak of a flow of run `id`: as long as the log does not show that it started
/// without that run's table.
bool Verifier::goes_on_with(std::uint64_t id) {
    const Run* later = current_;
    for (unsigned step = 0; step < longest_chain; ++step) {
        if (!later->start_seen) {
            return true;
        }
        if (!later->previous) {
            return false;
        }
        if (*later->previous == id) {
            return true;
        }
        later = &run(*later->previous);
    }
    return true;
}

Verifier::Run& Verifier::run(std::uint64_t id) {
    if (last_found_ == nullptr || last_found_->id != id) {
        last_found_ = &runs_[id];
        last_found_->id = id;
    }
    return *last_found_;
}

/// The text is only made where it will be told.
template <class Text>
void Verifier::violate(Rule rule, const Text& text) {
    ++verdict_.violation_count;
    ++verdict_.violations_by_rule[static_cast<std::size_t>(rule)];
    if (verdict_.violations.size() < Verdict::violations_told) {
        verdict_.violations.push_back({position_, rule, text()});
    }
}

Verdict Verifier::verdict() const {
    Verdict verdict = verdict_;
    verdict.stopped = current_ != nullptr && current_->stopped;
    for (const auto& [id, run] : runs_) {
        verdict.open_at_end += run.live.size();
        verdict.cut_runs += run.cut ? 1U : 0U;
        // Only now is it certain that nothing declares them.
        std::size_t told = 0;
        for (const auto& [first, gap] : run.missing.gaps()) {
            ++verdict.violation_count;
            ++verdict.violations_by_rule[static_cast<std::size_t>(Rule::sequence)];
            if (told++ < Verdict::violations_told) {
                verdict.violations.push_back(
                    {gap.position, Rule::sequence,
                     events(first, gap.last) + " of run " + hex(id) + " missing, and no record declares it"});
            }
        }
    }
    std::stable_sort(verdict.violations.begin(), verdict.violations.end(),
                     [](const Violation& a, const Violation& b) { return a.position < b.position; });
    if (verdict.violations.size() > Verdict::violations_told) {
        verdict.violations.resize(Verdict::violations_told);
    }
    return verdict;
}

}  // namespace flowkin
