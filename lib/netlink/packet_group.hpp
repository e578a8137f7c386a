// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "netlink/netlink_socket.hpp"

namespace flowkin {

/// What binding a group of NFLOG gave.
struct PacketGroup {
    /// The kernel adds to each packet what conntrack knows of it (CONFIG_NETFILTER_NETLINK_GLUE_CT).
    bool sends_sections = false;
    /// What came while the kernel was asked: packets of groups that were bound before.
    std::vector<std::vector<std::uint8_t>> early;
};

/// Has the kernel send what rules log to this group to `socket`: the beginning of each packet, numbered, each
/// at once. A group has one reader: where another program is that, Fault::other, and the socket is as it was.
Result<PacketGroup> bind_packet_group(NetlinkSocket& socket, std::uint16_t group);

}  // namespace flowkin
