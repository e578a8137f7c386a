// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "ledger/log_record.hpp"
#include "ledger/missing_lines.hpp"

namespace flowkin {

/// What a line can break.
enum class Rule : std::uint8_t {
    json,      ///< one JSON object a line
    length,    ///< under 4,096 bytes
    field,     ///< event.id, event.sequence and the uids are there and well formed
    sequence,  ///< from 1, one more a line; a gap lies inside what a record declares lost
    run,   ///< a run's lines stand together, and it speaks of flows of its own and of the runs it continues
    flow,  ///< one opening, at most one end, nothing before and nothing after
    kin,   ///< parents and roots were opened earlier
    loss,  ///< a declared loss covers what is missing
    stop,  ///< at a clean stop, openings less ends are the flows that live
};
constexpr std::size_t rules = 9;
std::string_view name(Rule rule);

struct Violation {
    LogPosition position;
    Rule rule = Rule::json;
    std::string text;
    friend bool operator==(const Violation&, const Violation&) = default;
};

/// What the log declares lost at one place.
struct DeclaredLoss {
    std::uint64_t records = 0;
    std::uint64_t events = 0;     ///< the sum of the counts given
    std::uint64_t uncounted = 0;  ///< records that know no count
    friend bool operator==(const DeclaredLoss&, const DeclaredLoss&) = default;
};

/// What a log comes to under the conservation law.
struct Verdict {
    /// So many violations are told one by one; all are counted.
    static constexpr std::size_t violations_told = 1000;

    std::vector<std::string> files;
    std::uint64_t lines = 0;
    std::uint64_t bytes = 0;
    std::uint64_t runs = 0;
    std::uint64_t cut_runs = 0;  ///< ended without monitor-stop, and another run followed
    bool stopped = false;        ///< the last run ended with monitor-stop

    std::uint64_t opened = 0;
    std::uint64_t closed = 0;
    std::uint64_t open_at_end = 0;
    std::uint64_t seen_before_log = 0;  ///< opened before the first line
    std::uint64_t beyond_table = 0;     ///< opened while flowkin's table was full: no end is expected
    std::uint64_t abandoned = 0;        ///< still open when a run started fresh
    std::uint64_t excused_by_loss = 0;  ///< the opening lies among declared lost lines
    std::uint64_t excused_by_cut = 0;   ///< the opening lies behind the last line of a run that was cut off

    std::array<DeclaredLoss, loss_places> losses{};

    std::vector<Violation> violations;  ///< in the log's order, the first so many
    std::uint64_t violation_count = 0;
    std::array<std::uint64_t, rules> violations_by_rule{};

    bool holds() const { return violation_count == 0; }
    friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// For a person: first the violations as file:line: text, then the sums, then the verdict.
void print(const Verdict& verdict, std::ostream& out);

}  // namespace flowkin
