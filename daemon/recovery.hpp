// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "config.hpp"
#include "flow/flow_table.hpp"
#include "state/state_file.hpp"

namespace flowkin {

/// Where the table is kept on disk: [state] path, else in the unit's StateDirectory; empty: nowhere.
std::string state_path(const Config& config);

/// What an earlier run left.
struct Recovery {
    bool restored = false;              ///< the table holds that run's flows
    std::optional<RunId> previous_run;  ///< the last that had that table; also where it was of no use
    bool clean = false;                 ///< it ended in order: nothing it read is missing from the log
    std::uint64_t kernel_drops = 0;     ///< losses of its socket that are in the log
    std::uint64_t flows = 0;
    WallTime
        heard_until{};     ///< nothing that the kernel said before this is missing; meaningful where restored
    std::string log_path;  ///< where its lines are; empty: standard output
    std::string warning;   ///< why there was nothing to restore, where there should have been
};

/// Fills the table with what the run before knew at its end.
///
/// The state file is a snapshot, and the log tells what came after it (LogTail): its lines are applied to it,
/// so that the table is what a reader of the log believes. That makes a crash as good as a stop. Where the
/// snapshot is not clean and the log cannot be read back (standard output, a log that was moved away) the
/// table stays empty: a flow that ended since would otherwise end twice.
Recovery recover(const std::string& path, const StateOrigin& origin, FlowTable& table);

}  // namespace flowkin
