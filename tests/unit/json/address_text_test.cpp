// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/address_text.hpp"

#include <arpa/inet.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "sample.hpp"

namespace flowkin {
namespace {

std::string text_of(const Address& address, Family family) {
    std::array<char, address_text_longest + 3> text{};
    const char* end = write_address(text.data(), address, family);
    return {text.data(), static_cast<std::size_t>(end - text.data())};
}

std::string by_inet_ntop(const Address& address, Family family) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    REQUIRE(inet_ntop(family == Family::ipv4 ? AF_INET : AF_INET6, address.bytes.data(), text.data(),
                      text.size()) != nullptr);
    return text.data();
}

TEST_CASE("addresses read as RFC 5952 has them") {
    for (const char* text :
         {"::", "::1", "1::", "2001:db8::1", "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "2001:db8::1:0:0:1",
          "fe80::200:86ff:fe05:80da", "::ffff:192.0.2.1", "::192.0.2.1", "64:ff9b::c000:201",
          "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0",
          "255.255.255.255", "1.20.255.3"}) {
        const Family family =
            std::string_view(text).find(':') == std::string_view::npos ? Family::ipv4 : Family::ipv6;
        const Address address = samples::address(text);
        CHECK(text_of(address, family) == by_inet_ntop(address, family));
    }
    CHECK(text_of(samples::address("2001:db8::1:0:0:1"), Family::ipv6) == "2001:db8::1:0:0:1");
    CHECK(text_of(samples::address("2001:0:0:1:0:0:0:1"), Family::ipv6) == "2001:0:0:1::1");
}

TEST_CASE("addresses of every form read as inet_ntop writes them") {
    std::mt19937_64 bits(7);
    const std::array<unsigned, 6> groups{0, 1, 0xffff, 0xabc, 0x12, 0x1000};
    for (unsigned zeros = 0; zeros < 256; ++zeros) {  // each place of zeros among the eight groups
        for (int round = 0; round < 200; ++round) {
            Address address;
            for (std::size_t group = 0; group < 8; ++group) {
                const unsigned value = (zeros >> group & 1U) != 0 ? 0 : groups[bits() % groups.size()];
                address.bytes[2 * group] = static_cast<std::uint8_t>(value >> 8);
                address.bytes[2 * group + 1] = static_cast<std::uint8_t>(value);
            }
            REQUIRE(text_of(address, Family::ipv6) == by_inet_ntop(address, Family::ipv6));
        }
    }
    for (unsigned octet = 0; octet < 256; ++octet) {
        Address address;
        address.bytes = {static_cast<std::uint8_t>(octet), static_cast<std::uint8_t>(255 - octet), 0,
                         static_cast<std::uint8_t>(octet ^ 0x55U)};
        REQUIRE(text_of(address, Family::ipv4) == by_inet_ntop(address, Family::ipv4));
    }
}

}  // namespace
}  // namespace flowkin
