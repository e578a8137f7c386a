// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ledger/counter_ranges.hpp"
#include "ledger/counter_set.hpp"
#include "ledger/log_record.hpp"
#include "ledger/missing_lines.hpp"
#include "ledger/verdict.hpp"

namespace flowkin {

/// Holds a log against the conservation law (docs/event-format.md), line by line, in one pass.
///
/// The model:
/// - Lines belong to runs (event.id), one run after the other. Within a run event.sequence counts up by
///   one; what is skipped is missing until a later events-lost of that run names it.
/// - A flow is unknown, then live, then closed. Of each run there is the set of live counters, and the set
///   of all counters ever met, which are ranges: a closed flow is one that was met and does not live. So
///   memory goes with the live flows, not with the log.
/// - A flow that is met without its opening breaks the law, unless the opening can lie where nobody saw it:
///   before the first line of the log, among missing lines (as many openings as lines, no more), or behind
///   the last line of a run that was cut off.
/// - A run whose monitor-start says that it restored an earlier run's table goes on with that run's flows,
///   and these runs are a chain. A fresh one abandons what still lives.
/// - A line that repeats a sequence is told and then left out, so that one fault is one violation.
class Verifier {
  public:
    /// Lines that follow are this file's.
    void begin_file(std::string name);

    /// One line, without its newline.
    void feed(std::string_view line);

    /// A line of so many bytes, too long to be looked at.
    void feed_overlong(std::uint64_t line_bytes);

    Verdict verdict() const;
    std::uint64_t bytes() const { return verdict_.bytes; }

  private:
    struct Run {
        std::uint64_t id = 0;
        bool met = false;                       ///< it has lines in this log
        bool begun = false;                     ///< its lines begin in this log, at sequence 1 or in a gap
        bool start_seen = false;                ///< its monitor-start is in this log
        bool stopped = false;                   ///< its monitor-stop is
        bool cut = false;                       ///< another run came, and it had not stopped
        bool continued = false;                 ///< another run has said that it continues this one
        std::optional<std::uint64_t> previous;  ///< the run whose table it restored
        std::uint64_t first_sequence = 0;
        std::uint64_t last_sequence = 0;
        MissingLines missing;             ///< not declared so far
        std::uint64_t missing_lines = 0;  ///< ever, declared or not
        std::uint64_t excused = 0;        ///< openings that may lie among them
        CounterRanges known;              ///< every counter ever met
        CounterSet live;
        std::uint64_t least_opened = 0;  ///< of the opening records; 0: none yet
        std::uint64_t greatest_opened = 0;
    };

    /// The current run and those whose table it goes on with.
    struct Chain {
        std::vector<Run*> runs;
        bool from_fresh = false;  ///< it begins with a fresh start in this log: all its flows are known
        bool exact = true;        ///< no run in it was cut off or passed over
        std::uint64_t missing_lines = 0;
    };

    Run& run(std::uint64_t id);
    void enter_run(std::uint64_t id, std::uint64_t sequence);
    bool check_sequence(std::uint64_t sequence);
    void check_form(const LogRecord& record);
    void check_kin(const LogRecord& record);
    void check_reference(const std::optional<Uid>& uid, std::string_view field);
    void follow(const LogRecord& record);
    void open(Run& run, const LogRecord& record);
    bool meet_unopened(Run& run, const Uid& uid);
    void declare_loss(const LogRecord& record, std::uint64_t sequence);
    void start(const LogRecord& record);
    void stop(const LogRecord& record);
    bool goes_on_with(std::uint64_t id);
    void add_missing(std::uint64_t first, std::uint64_t last);
    std::uint64_t live_in_chain() const;
    template <class Text>
    void violate(Rule rule, const Text& text);

    Verdict verdict_;  ///< what is summed up so far
    LogPosition position_;
    LogRecord record_;
    std::unordered_map<std::uint64_t, Run> runs_;
    Run* current_ = nullptr;
    Run* last_found_ = nullptr;
    Chain chain_;
};

}  // namespace flowkin
