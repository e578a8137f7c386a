// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <linux/netfilter/nfnetlink_log.h>

#include <array>
#include <cstdint>
#include <vector>

#include "flow/packet.hpp"
#include "support/conntrack_message_builder.hpp"

/// Packets as they stand on the wire, and the kernel's messages about them, made of what they are to say.
namespace flowkin::testing {

using PacketBytes = std::vector<std::uint8_t>;

inline void put_be16(PacketBytes& bytes, std::size_t value) {
    bytes.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes.push_back(static_cast<std::uint8_t>(value & 0xffU));
}

/// The IP packet of this tuple; behind its transport header stands `payload`.
inline PacketBytes packet_bytes(const Tuple& tuple, TcpFlags flags = {}, const PacketBytes& payload = {}) {
    PacketBytes transport;
    if (is_icmp(tuple.protocol)) {
        transport = {tuple.icmp().type, tuple.icmp().code, 0, 0};
        put_be16(transport, tuple.icmp().id);
        put_be16(transport, 0);
    } else if (has_ports(tuple.protocol)) {
        put_be16(transport, tuple.source_port);
        put_be16(transport, tuple.destination_port);
        if (tuple.protocol == Protocol::tcp) {
            transport.insert(transport.end(),
                             {0, 0, 0, 1, 0, 0, 0, 2, 5U << 4U, flags.bits, 0, 0, 0, 0, 0, 0});
        } else {
            transport.insert(transport.end(), {0, 8, 0, 0});
        }
    }
    transport.insert(transport.end(), payload.begin(), payload.end());
    PacketBytes bytes;
    if (tuple.family == Family::ipv4) {
        bytes = {0x45, 0};
        put_be16(bytes, 20 + transport.size());
        bytes.insert(bytes.end(), {0, 0, 0x40, 0, 64, static_cast<std::uint8_t>(tuple.protocol), 0, 0});
    } else {
        bytes = {0x60, 0, 0, 0};
        put_be16(bytes, transport.size());
        bytes.insert(bytes.end(), {static_cast<std::uint8_t>(tuple.protocol), 64});
    }
    const std::size_t address_bytes = tuple.family == Family::ipv4 ? 4 : 16;
    for (const Address& address : {tuple.source, tuple.destination}) {
        bytes.insert(bytes.end(), address.bytes.begin(), address.bytes.begin() + address_bytes);
    }
    bytes.insert(bytes.end(), transport.begin(), transport.end());
    return bytes;
}

/// NFULNL_MSG_PACKET of group 5 with the packet's header and bytes, to which `more` adds.
template <class More>
std::vector<std::uint8_t> packet_datagram(unsigned family, PacketHook hook, const PacketBytes& packet,
                                          More more) {
    MessageBuilder message(NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET, 0, family);
    message.group(5);
    const std::array<std::uint8_t, 4> header{static_cast<std::uint8_t>(packet[0] >> 4U == 4 ? 0x08 : 0x86),
                                             static_cast<std::uint8_t>(packet[0] >> 4U == 4 ? 0x00 : 0xdd),
                                             static_cast<std::uint8_t>(hook), 0};
    message.bytes(NFULA_PACKET_HDR, header.data(), header.size());
    more(message);
    message.bytes(NFULA_PAYLOAD, packet.data(), packet.size());
    return message.datagram();
}

}  // namespace flowkin::testing
