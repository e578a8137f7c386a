// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/verdict.hpp"

#include <ostream>

namespace flowkin {

namespace {

/// "1 run", "2 runs".
std::string counted(std::uint64_t count, std::string_view noun) {
    return std::to_string(count) + ' ' + std::string(noun) + (count == 1 ? "" : "s");
}

void print_losses(const Verdict& verdict, std::ostream& out) {
    bool any = false;
    for (std::size_t i = 0; i < loss_places; ++i) {
        const DeclaredLoss& loss = verdict.losses[i];
        if (loss.records == 0) {
            continue;
        }
        out << (any ? "          " : "losses    ") << name(static_cast<LogLossPlace>(i)) << ": "
            << counted(loss.events, "event") << ", " << counted(loss.records, "record");
        if (loss.uncounted != 0) {
            out << ", " << loss.uncounted << " of them without a count";
        }
        out << '\n';
        any = true;
    }
    if (!any) {
        out << "losses    none declared\n";
    }
}

void print_if_any(std::uint64_t count, std::string_view text, std::ostream& out) {
    if (count != 0) {
        out << "          " << count << ' ' << text << '\n';
    }
}

}  // namespace

std::string_view name(Rule rule) {
    constexpr std::array<std::string_view, rules> names{"json", "length", "field", "sequence", "run",
                                                        "flow", "kin",    "loss",  "stop"};
    return names[static_cast<std::size_t>(rule)];
}

void print(const Verdict& verdict, std::ostream& out) {
    for (const Violation& violation : verdict.violations) {
        const LogPosition& at = violation.position;
        out << (at.file < verdict.files.size() ? verdict.files[at.file] : "-") << ':' << at.line << ": "
            << violation.text << '\n';
    }
    if (verdict.violation_count > verdict.violations.size()) {
        out << "… and " << verdict.violation_count - verdict.violations.size() << " more\n";
    }

    out << "log       " << counted(verdict.lines, "line") << ", " << counted(verdict.bytes, "byte") << ", "
        << counted(verdict.runs, "run") << '\n';
    print_if_any(verdict.cut_runs,
                 "of its runs ended without monitor-stop: what was not written by then is not known", out);
    if (verdict.runs != 0 && !verdict.stopped) {
        out << "          the last run has not stopped\n";
    }
    out << "flows     " << verdict.opened << " opened, " << verdict.closed << " closed, "
        << verdict.open_at_end << " open at the end\n";
    print_if_any(verdict.seen_before_log, "opened before this log", out);
    print_if_any(verdict.beyond_table, "opened while the table was full: their ends are not recorded", out);
    print_if_any(verdict.abandoned, "left open by runs that no run continued", out);
    print_if_any(verdict.excused_by_loss, "whose opening lies among declared lost lines", out);
    print_if_any(verdict.excused_by_cut, "whose opening a run that was cut off did not write", out);
    print_losses(verdict, out);

    if (verdict.holds()) {
        out << "verdict   the conservation law holds\n";
        return;
    }
    out << "verdict   the conservation law is broken: " << counted(verdict.violation_count, "violation")
        << " (";
    bool first = true;
    for (std::size_t i = 0; i < rules; ++i) {
        if (verdict.violations_by_rule[i] != 0) {
            out << (first ? "" : ", ") << name(static_cast<Rule>(i)) << ' ' << verdict.violations_by_rule[i];
            first = false;
        }
    }
    out << ")\n";
}

}  // namespace flowkin
