// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "flow/event.hpp"
#include "flow/flow.hpp"

namespace flowkin {

/// What a line of flowkin's own log says that matters to a later run: enough to carry on with the flow.
struct LoggedLine {
    enum class What : std::uint8_t {
        flow,         ///< `record` is the flow as it was then
        flow_end,     ///< the flow of `record.flow.uid` is over
        kernel_loss,  ///< `lost` events were declared lost at the kernel's socket
        start,        ///< a run began; `start` and `previous_run` say how
        stop,         ///< the run ended in order
        other,
    };
    What what = What::other;
    RunId run = 0;
    std::uint64_t sequence = 0;
    WallTime at{};
    FlowRecord record;
    bool heard = false;  ///< of a flow: an event of the kernel's said it, not a dump
    std::uint64_t lost = 0;
    StartState start = StartState::fresh;
    std::optional<RunId> previous_run;
};

/// Reads one line back, whatever wrote it. Empty: it is no line of flowkin's, or one that contradicts itself.
/// Labels that bear names of connlabel.conf are not read back; the next dump brings them.
std::optional<LoggedLine> read_logged_line(std::string_view line);

}  // namespace flowkin
