// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <optional>

#include "flow/flow.hpp"
#include "flow/flow_uid_hash.hpp"
#include "state/state_file.hpp"

namespace flowkin {

/// What the log says that a state file does not know: the end of the run that wrote the file, and every line
/// of the runs that went on with its flows and were killed before they could write one.
struct LogTail {
    bool joins = false;              ///< nothing lies between the state file and the first line read
    bool superseded = false;         ///< a run came after that does not continue them
    RunId run = 0;                   ///< the last of these runs
    bool stopped = false;            ///< it ended in order
    std::uint64_t kernel_drops = 0;  ///< its socket's drop counter, as far as it is declared in the log
    WallTime heard_until{};          ///< what the kernel said before this is in the log or in the state file
    boost::unordered_flat_map<FlowUid, std::optional<FlowRecord>, FlowUidHash>
        flows;  ///< as last told; empty: ended
    /// The last marks of flows that ended after theirs had changed: a child that inherited another has diverged.
    boost::unordered_flat_map<FlowUid, Mark, FlowUidHash> ended_marks;
};

/// Reads the file that `header` names, and those that were rotated away from it. A last line without its
/// newline is no line. The runs must follow each other in it, each saying that it continues the one before.
LogTail read_log_tail(const StateHeader& header);

}  // namespace flowkin
