// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>

namespace flowkin {

enum class Family : std::uint8_t { ipv4 = 4, ipv6 = 6 };

/// An IP protocol number. Any value may stand here; the named ones are those whose tuples conntrack shapes.
enum class Protocol : std::uint8_t {
    icmp = 1,
    tcp = 6,
    udp = 17,
    dccp = 33,
    gre = 47,
    ipv6_icmp = 58,
    sctp = 132,
    udplite = 136,
};

/// An address as it stands in a packet. IPv4 fills the first four bytes, the rest are zero.
struct Address {
    std::array<std::uint8_t, 16> bytes{};
    friend bool operator==(const Address&, const Address&) = default;
};

struct IcmpFields {
    std::uint8_t type = 0;
    std::uint8_t code = 0;
    std::uint16_t id = 0;
    friend bool operator==(const IcmpFields&, const IcmpFields&) = default;
};

/// One direction of a flow, ports in host order.
///
/// ICMP has no ports: its id stands in source_port, its type and code in destination_port (see icmp()).
/// GRE's keys (PPTP call ids) stand in the ports. Other protocols leave both zero.
/// No padding: the table hashes the bytes.
struct Tuple {
    Address source;
    Address destination;
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    Family family = Family::ipv4;
    Protocol protocol{};

    IcmpFields icmp() const {
        return {static_cast<std::uint8_t>(destination_port >> 8),
                static_cast<std::uint8_t>(destination_port & 0xffU), source_port};
    }
    void set_icmp(IcmpFields fields) {
        source_port = fields.id;
        destination_port = static_cast<std::uint16_t>(fields.type << 8 | fields.code);
    }
    friend bool operator==(const Tuple&, const Tuple&) = default;
};
static_assert(sizeof(Tuple) == 38);

constexpr bool is_icmp(Protocol protocol) {
    return protocol == Protocol::icmp || protocol == Protocol::ipv6_icmp;
}

/// True where source_port and destination_port are ports (and not ICMP's fields, GRE's keys or nothing).
constexpr bool has_ports(Protocol protocol) {
    return protocol == Protocol::tcp || protocol == Protocol::udp || protocol == Protocol::udplite ||
           protocol == Protocol::sctp || protocol == Protocol::dccp;
}

/// The reply tuple that a flow has when nothing translates it. ICMP types turn into their answer, as
/// nf_conntrack_proto_icmp.c and _icmpv6.c pair them; a type without one stays.
Tuple mirror(const Tuple& original);

/// Which of a flow's directions a conntrack zone applies to (NF_CT_ZONE_DIR_*).
enum class ZoneDirection : std::uint8_t { both = 0, original = 1, reply = 2 };

struct Zone {
    std::uint16_t id = 0;
    ZoneDirection direction = ZoneDirection::both;
    friend bool operator==(const Zone&, const Zone&) = default;
};

/// What identifies a flow in one network namespace. The kernel's CTA_ID is no part of it: it is a 32-bit
/// hash, neither unique among live flows nor lasting.
struct FlowKey {
    Tuple original;
    Zone zone;
    friend bool operator==(const FlowKey&, const FlowKey&) = default;
};

}  // namespace flowkin
