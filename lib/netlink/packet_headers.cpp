// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "netlink/packet_message.hpp"

/// IP headers out of packets that strangers made and a rule may have cut short.
namespace flowkin::wire {
namespace {

/// What stands behind an IP header.
struct Payload {
    std::uint8_t protocol = 0;
    Bytes bytes;
    bool begins_here = true;  ///< false: a fragment other than the first
};

void take_address(Bytes from, Address& into) {
    std::copy(from.begin(), from.end(), into.bytes.begin());
}

bool read_ipv4(Bytes packet, PacketHeaders& headers, Payload& payload) {
    constexpr std::size_t least = 20;
    if (packet.size() < least || packet[0] >> 4U != 4) {
        return false;
    }
    const std::size_t header_bytes = std::size_t{packet[0] & 0x0fU} * 4;
    if (header_bytes < least) {
        return false;
    }
    headers.length = load_network<std::uint16_t>(&packet[2]);
    payload.begins_here = (load_network<std::uint16_t>(&packet[6]) & 0x1fffU) == 0;
    payload.protocol = packet[9];
    take_address(packet.subspan(12, 4), headers.tuple.source);
    take_address(packet.subspan(16, 4), headers.tuple.destination);
    payload.bytes = packet.subspan(std::min(header_bytes, packet.size()));
    return true;
}

/// Passes over the extension headers that conntrack passes over (ipv6_skip_exthdr()). Where one is cut off,
/// the protocol is that header's.
void skip_extensions(Payload& payload) {
    constexpr std::uint8_t hop_by_hop = 0;
    constexpr std::uint8_t routing = 43;
    constexpr std::uint8_t fragment = 44;
    constexpr std::uint8_t authentication = 51;
    constexpr std::uint8_t destination_options = 60;
    while (payload.bytes.size() >= 8) {
        std::size_t bytes = 0;
        switch (payload.protocol) {
            case hop_by_hop:
            case routing:
            case destination_options:
                bytes = (std::size_t{payload.bytes[1]} + 1) * 8;
                break;
            case authentication:
                bytes = (std::size_t{payload.bytes[1]} + 2) * 4;
                break;
            case fragment:
                bytes = 8;
                payload.begins_here = (load_network<std::uint16_t>(&payload.bytes[2]) & 0xfff8U) == 0;
                break;
            default:
                return;
        }
        payload.protocol = payload.bytes[0];
        payload.bytes = payload.bytes.subspan(std::min(bytes, payload.bytes.size()));
        if (!payload.begins_here) {
            return;
        }
    }
}

bool read_ipv6(Bytes packet, PacketHeaders& headers, Payload& payload) {
    constexpr std::size_t header_bytes = 40;
    if (packet.size() < header_bytes || packet[0] >> 4U != 6) {
        return false;
    }
    headers.length = header_bytes + load_network<std::uint16_t>(&packet[4]);
    payload.protocol = packet[6];
    take_address(packet.subspan(8, 16), headers.tuple.source);
    take_address(packet.subspan(24, 16), headers.tuple.destination);
    payload.bytes = packet.subspan(header_bytes);
    skip_extensions(payload);
    return true;
}

/// What conntrack makes of it for a tuple: ports, or type, code and id.
void read_transport(const Payload& payload, PacketHeaders& headers) {
    Tuple& tuple = headers.tuple;
    const Bytes bytes = payload.bytes;
    if (has_ports(tuple.protocol)) {
        headers.whole = bytes.size() >= 4;
        if (headers.whole) {
            tuple.source_port = load_network<std::uint16_t>(bytes.data());
            tuple.destination_port = load_network<std::uint16_t>(&bytes[2]);
        }
    } else if (is_icmp(tuple.protocol)) {
        headers.whole = bytes.size() >= 8;
        if (headers.whole) {
            tuple.set_icmp({bytes[0], bytes[1], load_network<std::uint16_t>(&bytes[4])});
        }
    } else {
        headers.whole = true;
    }
    constexpr std::size_t tcp_flags_at = 13;
    if (tuple.protocol == Protocol::tcp && bytes.size() > tcp_flags_at) {
        headers.tcp_flags = TcpFlags{bytes[tcp_flags_at]};
    }
}

bool read_ip(Bytes packet, Family family, PacketHeaders& headers, Payload& payload) {
    headers = {};
    headers.tuple.family = family;
    if (!(family == Family::ipv4 ? read_ipv4(packet, headers, payload)
                                 : read_ipv6(packet, headers, payload))) {
        return false;
    }
    headers.tuple.protocol = static_cast<Protocol>(payload.protocol);
    if (payload.begins_here) {
        read_transport(payload, headers);
    }
    return true;
}

}  // namespace

bool read_headers(Bytes packet, Family family, PacketHeaders& headers, std::optional<PacketHeaders>& about) {
    constexpr std::size_t icmp_header_bytes = 8;
    Payload payload;
    if (!read_ip(packet, family, headers, payload)) {
        return false;
    }
    if (headers.whole && is_icmp(headers.tuple.protocol) && is_icmp_error(headers.tuple)) {
        Payload inner;
        if (!read_ip(payload.bytes.subspan(icmp_header_bytes), family, about.emplace(), inner)) {
            about.reset();
        }
    }
    return true;
}

}  // namespace flowkin::wire
