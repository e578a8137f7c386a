// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "flow/packet.hpp"
#include "netlink/attributes.hpp"

namespace flowkin::wire {

/// Reads the attributes of a logged packet into `packet`, whose group is set and whose other members are
/// fresh. `family` is the message's; of a rule for bridges it is none of IP, and then the packet's own type
/// counts. `of_ip` false: neither is.
Check read_packet(Bytes attributes, std::uint8_t family, PacketMessage& packet, bool& of_ip);

/// The IP header that `packet` begins with and what of the next one is there; `about` is set where it is an
/// ICMP error that holds the header of the packet that it answers. False: not a whole IP header of
/// this family.
bool read_headers(Bytes packet, Family family, PacketHeaders& headers, std::optional<PacketHeaders>& about);

}  // namespace flowkin::wire
