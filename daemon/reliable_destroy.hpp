// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "config.hpp"
#include "flow/event.hpp"
#include "netlink/netlink_socket.hpp"

namespace flowkin {

/// NETLINK_BROADCAST_ERROR under guard: the kernel keeps each DESTROY until it was read, so no end is lost,
/// but what it keeps counts against nf_conntrack_max, and a reader that hangs would fill the table and stop
/// the machine's traffic. It is on only where a watchdog ends a flowkin that hangs, and only while the table
/// has room.
class ReliableDestroy {
  public:
    /// Off for good where it is not wanted, or where nobody watches; then the warning says so.
    std::optional<MonitorWarning> begin(const Config& config, bool watched, NetlinkSocket& socket);

    /// Looks at the kernel's table, and turns it off above the limit, on again ten percent below it. A
    /// warning for each turn.
    std::optional<MonitorWarning> guard(unsigned limit_percent, NetlinkSocket& socket);

    bool wanted() const { return wanted_; }
    bool on() const { return on_; }

  private:
    bool wanted_ = false;
    bool on_ = false;
};

}  // namespace flowkin
