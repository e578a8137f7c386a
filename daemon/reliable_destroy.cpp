// SPDX-License-Identifier: GPL-2.0-or-later
#include "reliable_destroy.hpp"

#include <spdlog/spdlog.h>

#include <string>

#include "netlink/kernel_state.hpp"

namespace flowkin {

std::optional<MonitorWarning> ReliableDestroy::begin(const Config& config, bool watched,
                                                     NetlinkSocket& socket) {
    if (auto off = socket.set_broadcast_error(false); !off) {  // an inherited socket may have it on
        spdlog::error("{}", off.error().text);
    }
    if (!config.conntrack.reliable_destroy) {
        return std::nullopt;
    }
    if (!watched) {
        return MonitorWarning{
            "reliable-destroy-off",
            "reliable_destroy is off: nobody would end a flowkin that hangs, and a full flow "
            "table drops packets (it needs WatchdogSec= in the unit)"};
    }
    wanted_ = true;
    const auto warning = guard(config.conntrack.reliable_destroy_limit_percent, socket);
    return on_ ? std::nullopt : warning;
}

std::optional<MonitorWarning> ReliableDestroy::guard(unsigned limit_percent, NetlinkSocket& socket) {
    constexpr unsigned slack_percent = 10;
    const unsigned fill = read_table_fill_percent().value_or(100);
    if (!wanted_ || (on_ ? fill < limit_percent : fill + slack_percent >= limit_percent)) {
        return std::nullopt;
    }
    if (auto set = socket.set_broadcast_error(!on_); !set) {
        spdlog::error("{}", set.error().text);
        return std::nullopt;
    }
    on_ = !on_;
    const std::string table =
        "the kernel's flow table is " + std::to_string(fill) + " % full: reliable_destroy is ";
    return on_ ? MonitorWarning{"reliable-destroy-on", table + "on"}
               : MonitorWarning{
                     "reliable-destroy-off",
                     table + "off until it is below " + std::to_string(limit_percent - slack_percent) + " %"};
}

}  // namespace flowkin
