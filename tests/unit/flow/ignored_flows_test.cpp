// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/ignored_flows.hpp"

#include <catch2/catch.hpp>

using namespace flowkin;

namespace {

Tuple tuple(std::array<std::uint8_t, 4> source, std::array<std::uint8_t, 4> destination, Protocol protocol,
            std::uint16_t port) {
    Tuple made;
    std::copy(source.begin(), source.end(), made.source.bytes.begin());
    std::copy(destination.begin(), destination.end(), made.destination.bytes.begin());
    made.protocol = protocol;
    made.source_port = 40'000;
    made.destination_port = port;
    return made;
}

const Tuple query = tuple({10, 9, 1, 2}, {192, 0, 2, 53}, Protocol::udp, 53);

bool ignores(const IgnoreRule& rule, const Tuple& original) {
    return IgnoredFlows({rule}).matches(original);
}

IgnoreRule network(std::array<std::uint8_t, 4> bytes, unsigned bits) {
    Subnet subnet{Family::ipv4, {}, bits};
    std::copy(bytes.begin(), bytes.end(), subnet.address.bytes.begin());
    return {subnet, std::nullopt, std::nullopt};
}

}  // namespace

TEST_CASE("a subnet holds either end, to the bit, and no other family") {
    CHECK(ignores(network({10, 9, 0, 0}, 16), query));
    CHECK(ignores(network({192, 0, 2, 0}, 24), query));
    CHECK(ignores(network({10, 9, 1, 3}, 31), query));
    CHECK_FALSE(ignores(network({10, 9, 1, 3}, 32), query));
    CHECK_FALSE(ignores(network({10, 8, 0, 0}, 16), query));
    CHECK(ignores(network({0, 0, 0, 0}, 0), query));
    Tuple other = query;
    other.family = Family::ipv6;
    CHECK_FALSE(ignores(network({0, 0, 0, 0}, 0), other));
}

TEST_CASE("a port is the destination's, of a protocol that has ports") {
    const IgnoreRule dns{std::nullopt, std::nullopt, 53};
    CHECK(ignores(dns, query));
    CHECK_FALSE(ignores(dns, mirror(query)));
    Tuple gre = query;
    gre.protocol = Protocol::gre;
    CHECK_FALSE(ignores(dns, gre));
    const IgnoreRule over_tcp{std::nullopt, Protocol::tcp, 53};
    CHECK_FALSE(ignores(over_tcp, query));
}

TEST_CASE("a packet is ignored whichever way it goes in its flow") {
    const IgnoredFlows dns({{std::nullopt, Protocol::udp, 53}});
    CHECK(dns.matches_either_way(query));
    CHECK(dns.matches_either_way(mirror(query)));
    CHECK_FALSE(IgnoredFlows().matches_either_way(query));
    CHECK(IgnoredFlows().empty());
}
