// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/tuple.hpp"

#include <utility>

namespace flowkin {

namespace {

// invmap[] of net/netfilter/nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c
constexpr std::pair<std::uint8_t, std::uint8_t> icmp_pairs[] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
constexpr std::pair<std::uint8_t, std::uint8_t> icmpv6_pairs[] = {{128, 129}, {139, 140}};

template <std::size_t N>
std::uint8_t answer(const std::pair<std::uint8_t, std::uint8_t> (&pairs)[N], std::uint8_t type) {
    for (const auto& [request, reply] : pairs) {
        if (type == request) {
            return reply;
        }
        if (type == reply) {
            return request;
        }
    }
    return type;
}

}  // namespace

Tuple mirror(const Tuple& original) {
    Tuple reply = original;
    std::swap(reply.source, reply.destination);
    if (is_icmp(original.protocol)) {
        IcmpFields fields = original.icmp();
        fields.type = original.protocol == Protocol::icmp ? answer(icmp_pairs, fields.type)
                                                          : answer(icmpv6_pairs, fields.type);
        reply.set_icmp(fields);
    } else {
        std::swap(reply.source_port, reply.destination_port);
    }
    return reply;
}

}  // namespace flowkin
