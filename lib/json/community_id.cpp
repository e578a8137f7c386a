// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/community_id.hpp"

#include <cstring>
#include <span>
#include <utility>

#include "json/sha1.hpp"

namespace flowkin {
namespace {

/// What stands in the places of ports.
struct Ports {
    std::uint16_t first = 0;
    std::uint16_t second = 0;
    bool one_way = false;  ///< the ends are not put in order: the other direction is another flow
};

/// The two ICMP types of a question and its answer, as Zeek pairs them.
struct IcmpPair {
    std::uint8_t question;
    std::uint8_t answer;
};
constexpr IcmpPair icmp_pairs[] = {{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};
constexpr IcmpPair icmpv6_pairs[] = {{128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}};

Ports icmp_ports(const Tuple& tuple) {
    const IcmpFields icmp = tuple.icmp();
    const auto pairs = tuple.protocol == Protocol::icmp ? std::span<const IcmpPair>(icmp_pairs)
                                                        : std::span<const IcmpPair>(icmpv6_pairs);
    for (const auto [question, answer] : pairs) {
        if (icmp.type == question) {
            return {question, answer, false};
        }
        if (icmp.type == answer) {
            return {answer, question, false};
        }
    }
    return {icmp.type, icmp.code, true};
}

constexpr bool hashes_ports(Protocol protocol) {
    return protocol == Protocol::tcp || protocol == Protocol::udp || protocol == Protocol::sctp;
}

std::uint8_t* append_port(std::uint8_t* to, std::uint16_t port) {
    *to++ = static_cast<std::uint8_t>(port >> 8);
    *to++ = static_cast<std::uint8_t>(port & 0xffU);
    return to;
}

/// Three bytes become four characters.
char* write_base64(char* to, const Sha1Digest& digest) {
    constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::size_t place = 0;
    for (; place + 3 <= digest.size(); place += 3) {
        const unsigned bits = static_cast<unsigned>(digest[place]) << 16 |
                              static_cast<unsigned>(digest[place + 1]) << 8 | digest[place + 2];
        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 0x3fU];
        *to++ = alphabet[bits >> 6 & 0x3fU];
        *to++ = alphabet[bits & 0x3fU];
    }
    // Twenty bytes are six threes and two more.
    const unsigned bits = static_cast<unsigned>(digest[place]) << 8 | digest[place + 1];
    *to++ = alphabet[bits >> 10];
    *to++ = alphabet[bits >> 4 & 0x3fU];
    *to++ = alphabet[bits << 2 & 0x3fU];
    *to++ = '=';
    return to;
}

}  // namespace

char* write_community_id(char* to, const Tuple& tuple) {
    const std::size_t address_bytes = tuple.family == Family::ipv4 ? 4 : 16;
    const Address* first = &tuple.source;
    const Address* second = &tuple.destination;
    const bool with_icmp = is_icmp(tuple.protocol);
    const bool with_ports = with_icmp || hashes_ports(tuple.protocol);
    Ports ports = with_icmp ? icmp_ports(tuple) : Ports{tuple.source_port, tuple.destination_port, false};

    const int order = std::memcmp(first->bytes.data(), second->bytes.data(), address_bytes);
    if (!ports.one_way && (order > 0 || (order == 0 && ports.first > ports.second))) {
        std::swap(first, second);
        std::swap(ports.first, ports.second);
    }

    Sha1Block block;
    std::uint8_t* end = block.bytes.data() + 2;  // the seed, 0
    std::memcpy(end, first->bytes.data(), address_bytes);
    end += address_bytes;
    std::memcpy(end, second->bytes.data(), address_bytes);
    end += address_bytes;
    *end++ = static_cast<std::uint8_t>(tuple.protocol);
    *end++ = 0;
    if (with_ports) {
        end = append_port(end, ports.first);
        end = append_port(end, ports.second);
    }
    const auto message_bytes = static_cast<std::size_t>(end - block.bytes.data());
    *end = 0x80;
    // At most 40 bytes, 320 bits: the length in bits fits the last two bytes.
    append_port(&block.bytes[62], static_cast<std::uint16_t>(message_bytes * 8));

    *to++ = '1';
    *to++ = ':';
    return write_base64(to, sha1(block));
}

}  // namespace flowkin
