// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/community_id.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "json/sha1.hpp"
#include "sample.hpp"

namespace flowkin {
namespace {

using samples::tuple;

std::string id_of(const Tuple& tuple) {
    std::string text(community_id_length, '\0');
    REQUIRE(write_community_id(text.data(), tuple) == text.data() + text.size());
    return text;
}

Tuple icmp(const char* source, const char* destination, std::uint8_t type, std::uint8_t code) {
    const Protocol protocol =
        std::string_view(source).find(':') == std::string_view::npos ? Protocol::icmp : Protocol::ipv6_icmp;
    Tuple icmp = tuple(protocol, source, 0, destination, 0);
    icmp.set_icmp({type, code, 4711});
    return icmp;
}

TEST_CASE("Community IDs are those of the specification and its reference implementation") {
    constexpr const char* a = "1.2.3.4";
    constexpr const char* b = "5.6.7.8";
    CHECK(id_of(tuple(Protocol::tcp, a, 1122, b, 3344)) == "1:wCb3OG7yAFWelaUydu0D+125CLM=");
    CHECK(id_of(tuple(Protocol::udp, a, 1122, b, 3344)) == "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg=");
    CHECK(id_of(tuple(Protocol::sctp, a, 1122, b, 3344)) == "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8=");
    CHECK(id_of(icmp(a, b, 8, 0)) == "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=");
    CHECK(id_of(icmp(a, b, 11, 0)) == "1:f/YiSyWqczrTgfUCZlBUnvHRcPk=");
    constexpr const char* c = "fe80:1:203:405:607:809:a0b:c0d";
    constexpr const char* d = "fe80:1011:1213:1415:1617:1819:1a1b:1c1d";
    CHECK(id_of(icmp(c, d, 128, 0)) == "1:0bf7hyMJUwt3fMED7z8LIfRpBeo=");
    CHECK(id_of(icmp(c, d, 146, 0)) == "1:fYC8+pz24E+EhANP1EZhpX0Dw10=");
    CHECK(id_of(tuple(static_cast<Protocol>(46), a, 0, b, 0)) == "1:ikv3kmf89luf73WPz1jOs49S768=");

    CHECK(id_of(icmp("192.168.0.89", "192.168.0.1", 8, 0)) == "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    CHECK(id_of(icmp("192.168.0.1", "192.168.0.89", 0, 20)) == "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    CHECK(id_of(icmp("192.168.0.89", "192.168.0.1", 20, 0)) == "1:3o2RFccXzUgjl7zDpqmY7yJi8rI=");
    CHECK(id_of(icmp("192.168.0.89", "192.168.0.1", 20, 1)) == "1:tz/fHIDUHs19NkixVVoOZywde+I=");
    CHECK(id_of(icmp("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0)) ==
          "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=");
    CHECK(id_of(icmp("3ffe:507:0:1:260:97ff:fe07:69ea", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0)) ==
          "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w=");
    CHECK(id_of(icmp("3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:507:0:1:260:97ff:fe07:69ea", 3, 0)) ==
          "1:/OGBt9BN1ofenrmSPWYicpij2Vc=");
    CHECK(id_of(tuple(Protocol::sctp, "192.168.170.8", 7, "192.168.170.56", 80)) ==
          "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=");
    CHECK(id_of(tuple(Protocol::tcp, "66.35.250.204", 80, "128.232.110.120", 34855)) ==
          "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    CHECK(id_of(tuple(Protocol::tcp, "10.0.0.1", 10, "10.0.0.2", 11569)) == "1:SXBGMX1lBOwhhoDrZynfROxnhnM=");
    CHECK(id_of(tuple(Protocol::udp, "8.8.8.8", 53, "192.168.1.52", 54585)) ==
          "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
    CHECK(id_of(tuple(static_cast<Protocol>(46), "10.1.24.4", 0, "10.1.12.1", 0)) ==
          "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4=");
}

TEST_CASE("both directions of a flow have one Community ID") {
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp, Protocol::gre, Protocol::dccp}) {
        CHECK(id_of(tuple(protocol, "10.0.0.1", 4000, "10.0.0.1", 80)) ==
              id_of(tuple(protocol, "10.0.0.1", 80, "10.0.0.1", 4000)));
        CHECK(id_of(tuple(protocol, "2001:db8::1", 4000, "2001:db8::2", 80)) ==
              id_of(tuple(protocol, "2001:db8::2", 80, "2001:db8::1", 4000)));
    }
    for (const auto& [question, answer] :
         {std::pair<std::uint8_t, std::uint8_t>{128, 129}, {139, 140}, {144, 145}}) {
        CHECK(id_of(icmp("fe80::1", "fe80::2", question, 0)) == id_of(icmp("fe80::2", "fe80::1", answer, 0)));
    }
}

TEST_CASE("SHA-1 is that of FIPS 180, with and without the processor's instructions") {
    Sha1Block abc;
    abc.bytes = {'a', 'b', 'c', 0x80};
    abc.bytes[63] = 24;
    const Sha1Digest wanted{0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e,
                            0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d};
    CHECK(sha1_portable(abc) == wanted);
    CHECK(sha1(abc) == wanted);

    std::mt19937_64 bits(1);
    for (int round = 0; round < 10'000; ++round) {
        Sha1Block block;
        for (std::uint8_t& byte : block.bytes) {
            byte = static_cast<std::uint8_t>(bits());
        }
        REQUIRE(sha1(block) == sha1_portable(block));
    }
    if (!has_sha_instructions()) {
        WARN("this processor has no SHA instructions: only the portable form was tried");
    }
}

}  // namespace
}  // namespace flowkin
