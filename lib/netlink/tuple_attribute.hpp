// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <linux/netfilter/nfnetlink_conntrack.h>

#include "netlink/attributes.hpp"

/// A tuple as ctnetlink writes it: CTA_TUPLE_IP, CTA_TUPLE_PROTO and, in a flow's own two, CTA_TUPLE_ZONE.
namespace flowkin::wire {

/// Both addresses, of the message's family; one of the other family says nothing and is passed over.
[[gnu::always_inline]] inline Check read_addresses(Bytes payload, Family family, Tuple& tuple) {
    bool has_source = false;
    bool has_destination = false;
    const auto take = [&](Bytes address, Family of, Address& into, bool& has) -> Check {
        const std::size_t size = of == Family::ipv4 ? 4 : 16;
        if (address.size() != size) {
            return DecodeFault::wrong_size;
        }
        if (of == family) {
            std::memcpy(into.bytes.data(), address.data(), size);
            has = true;
        }
        return {};
    };
    const Check fault = for_each_attribute(payload, [&](const Attribute& attribute) -> Check {
        switch (attribute.type) {
            case CTA_IP_V4_SRC:
                return take(attribute.payload, Family::ipv4, tuple.source, has_source);
            case CTA_IP_V4_DST:
                return take(attribute.payload, Family::ipv4, tuple.destination, has_destination);
            case CTA_IP_V6_SRC:
                return take(attribute.payload, Family::ipv6, tuple.source, has_source);
            case CTA_IP_V6_DST:
                return take(attribute.payload, Family::ipv6, tuple.destination, has_destination);
            default:
                return {};
        }
    });
    if (fault) {
        return fault;
    }
    return has_source && has_destination ? Check{} : DecodeFault::missing_tuple;
}

/// The protocol and what it calls its ends.
[[gnu::always_inline]] inline Check read_protocol(Bytes payload, Tuple& tuple) {
    std::optional<std::uint8_t> number;
    IcmpFields icmp;
    const Check fault = for_each_attribute(payload, [&](const Attribute& attribute) -> Check {
        switch (attribute.type) {
            case CTA_PROTO_NUM:
                return read(attribute.payload, number);
            case CTA_PROTO_SRC_PORT:
                return read(attribute.payload, tuple.source_port);
            case CTA_PROTO_DST_PORT:
                return read(attribute.payload, tuple.destination_port);
            case CTA_PROTO_ICMP_ID:
            case CTA_PROTO_ICMPV6_ID:
                return read(attribute.payload, icmp.id);
            case CTA_PROTO_ICMP_TYPE:
            case CTA_PROTO_ICMPV6_TYPE:
                return read(attribute.payload, icmp.type);
            case CTA_PROTO_ICMP_CODE:
            case CTA_PROTO_ICMPV6_CODE:
                return read(attribute.payload, icmp.code);
            default:
                return {};
        }
    });
    if (fault) {
        return fault;
    }
    if (!number) {
        return DecodeFault::missing_tuple;
    }
    tuple.protocol = static_cast<Protocol>(*number);
    if (is_icmp(tuple.protocol)) {
        tuple.set_icmp(icmp);
    }
    return {};
}

/// A tuple of IPv4 addresses and ports in the very bytes in which the kernel writes one: most are. False where it is
/// any other, which says nothing of what it is.
[[gnu::always_inline]] inline bool read_usual_tuple(Bytes payload, Tuple& tuple) {
    constexpr auto head = [](std::uint16_t length, std::uint16_t type) {
        return std::endian::native == std::endian::little ? std::uint32_t{type} << 16U | length
                                                          : std::uint32_t{length} << 16U | type;
    };
    constexpr std::size_t usual_bytes = 48;
    if (payload.size() != usual_bytes) {
        return false;
    }
    const std::uint8_t* bytes = payload.data();
    const auto is = [bytes](std::size_t at, std::uint32_t expected) {
        return load_host<std::uint32_t>(bytes + at) == expected;
    };
    if (!is(0, head(20, CTA_TUPLE_IP | NLA_F_NESTED)) || !is(4, head(8, CTA_IP_V4_SRC)) ||
        !is(12, head(8, CTA_IP_V4_DST)) || !is(20, head(28, CTA_TUPLE_PROTO | NLA_F_NESTED)) ||
        !is(24, head(5, CTA_PROTO_NUM)) || !is(32, head(6, CTA_PROTO_SRC_PORT)) ||
        !is(40, head(6, CTA_PROTO_DST_PORT)) || is_icmp(static_cast<Protocol>(bytes[28]))) {
        return false;
    }
    std::memcpy(tuple.source.bytes.data(), bytes + 8, 4);
    std::memcpy(tuple.destination.bytes.data(), bytes + 16, 4);
    tuple.protocol = static_cast<Protocol>(bytes[28]);
    tuple.source_port = load_network<std::uint16_t>(bytes + 36);
    tuple.destination_port = load_network<std::uint16_t>(bytes + 44);
    return true;
}

/// Writes the whole of `tuple`, or faults. `zone` is set where the tuple bears one of its own.
inline Check read_tuple(Bytes payload, Family family, Tuple& tuple, std::optional<std::uint16_t>& zone) {
    tuple = Tuple{};
    tuple.family = family;
    if (family == Family::ipv4 && read_usual_tuple(payload, tuple)) {
        return {};
    }
    bool has_addresses = false;
    bool has_protocol = false;
    const Check fault = for_each_attribute(payload, [&](const Attribute& attribute) -> Check {
        switch (attribute.type) {
            case CTA_TUPLE_IP:
                has_addresses = true;
                return read_addresses(attribute.payload, family, tuple);
            case CTA_TUPLE_PROTO:
                has_protocol = true;
                return read_protocol(attribute.payload, tuple);
            case CTA_TUPLE_ZONE:
                return read(attribute.payload, zone);
            default:
                return {};
        }
    });
    if (fault) {
        return fault;
    }
    return has_addresses && has_protocol ? Check{} : DecodeFault::missing_tuple;
}

inline Check read_tuple(Bytes payload, Family family, Tuple& tuple) {
    std::optional<std::uint16_t> zone;
    return read_tuple(payload, family, tuple, zone);
}

}  // namespace flowkin::wire
