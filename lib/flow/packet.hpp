// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>

#include "flow/message.hpp"

/// A packet that a rule logged (NFLOG), as the kernel gave it: its own headers, where it was, and what
/// conntrack knew of it then.
namespace flowkin {

/// enum nf_inet_hooks.
enum class PacketHook : std::uint8_t { prerouting, input, forward, output, postrouting };

/// enum ip_conntrack_info, as NFULA_CT_INFO has it: what the packet is to its flow, and its direction.
enum class ConntrackInfo : std::uint8_t {
    established = 0,
    related = 1,
    new_flow = 2,
    established_reply = 3,
    related_reply = 4,
};

/// The bits of a TCP header's flags.
enum class TcpFlag : std::uint8_t { fin = 0, syn = 1, rst = 2, psh = 3, ack = 4, urg = 5, ece = 6, cwr = 7 };

struct TcpFlags {
    std::uint8_t bits = 0;
    bool has(TcpFlag flag) const { return (bits >> static_cast<unsigned>(flag) & 1U) != 0; }
    friend bool operator==(const TcpFlags&, const TcpFlags&) = default;
};

/// The prefix of a rule: at most 127 bytes (NF_LOG_PREFIXLEN with its NUL), of any content.
using LogPrefix = ShortText<127>;

/// What an IP header and the one behind it say. A fragment, or a packet that was cut short, may lack the
/// second: then there are no ports, and no flow can be found by it.
struct PacketHeaders {
    Tuple tuple;  ///< of the packet itself, in its own direction
    bool whole = false;
    std::uint32_t length = 0;  ///< of the IP packet on the wire
    std::optional<TcpFlags> tcp_flags;
    friend bool operator==(const PacketHeaders&, const PacketHeaders&) = default;
};

/// An absent attribute is an empty optional. The kernel leaves the mark out where it is 0.
struct PacketMessage {
    std::uint16_t group = 0;
    PacketHeaders headers;
    std::optional<PacketHeaders> about;  ///< an ICMP error: the packet that it answers
    std::optional<PacketHook> hook;
    std::uint32_t in = 0;  ///< index of the interface it came by; 0: none
    std::uint32_t out = 0;
    LogPrefix prefix;
    Mark mark = 0;                          ///< of the packet: not the connmark
    std::optional<std::uint32_t> sequence;  ///< NFULA_SEQ, counted for each group
    std::optional<WallTime> received;       ///< NFULA_TIMESTAMP: when it came in, where that was stamped
    std::optional<FlowMessage> flow;        ///< NFULA_CT, of kernels with NETFILTER_NETLINK_GLUE_CT
    std::optional<ConntrackInfo> info;      ///< NFULA_CT_INFO, likewise
};

/// ICMP messages that are about another packet, of which they hold the beginning.
inline bool is_icmp_error(const Tuple& tuple) {
    const std::uint8_t type = tuple.icmp().type;
    if (tuple.protocol == Protocol::icmp) {
        return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    }
    return tuple.protocol == Protocol::ipv6_icmp && type < 128;
}

}  // namespace flowkin
