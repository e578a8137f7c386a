// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flow/event.hpp"
#include "netlink/kernel_state.hpp"

namespace flowkin {

struct Config;
class Intake;

/// What an operator wants to know of a running flowkin, at one moment.
struct DaemonStatus {
    enum class State : std::uint8_t { running, reconciling };

    std::string version;
    RunId run = 0;
    State state = State::running;
    WallTime started{};
    nanoseconds uptime{};
    KernelState kernel;      ///< its settings and its table's size
    MonitorCounters totals;  ///< since the start
    MonitorCounters rates;   ///< of those totals that have one: a second, over the last ten
    std::size_t receive_buffer_bytes = 0;
    std::size_t queued_bytes = 0;  ///< lines that wait to be written
    std::size_t queue_bytes = 0;   ///< what may wait
    std::size_t flows = 0;
    std::size_t flows_most = 0;
    std::size_t table_bytes = 0;
    std::string log_path;  ///< empty: standard output
    std::vector<std::string> warnings;
};

/// Where it is read off.
struct StatusSources {
    RunId run;
    WallTime started;
    Tracking tracking_at_start;
    const Config& config;
    const Intake& intake;
    MonitorCounters totals;
};

/// All but the rates.
DaemonStatus take_status(StatusSources sources);

}  // namespace flowkin
