// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "message_text.hpp"
#include "netlink/decode.hpp"
#include "support/packet_bytes.hpp"

namespace flowkin::testing {
namespace {

constexpr auto nothing_more = [](MessageBuilder& /*message*/) {};

Decoded decode(const std::vector<std::uint8_t>& datagram) {
    Decoded decoded = Skipped{};
    MessageReader reader(datagram);
    REQUIRE(reader.next(decoded));
    return decoded;
}

template <class More>
PacketMessage packet_of(unsigned family, const PacketBytes& bytes, More more) {
    const Decoded decoded = decode(packet_datagram(family, PacketHook::forward, bytes, more));
    REQUIRE(std::holds_alternative<PacketMessage>(decoded));
    return std::get<PacketMessage>(decoded);
}

PacketMessage packet_of(const PacketBytes& bytes) {
    return packet_of(bytes[0] >> 4U == 4 ? AF_INET : AF_INET6, bytes, nothing_more);
}

Tuple some_tuple(Family family, Protocol protocol) {
    Tuple tuple;
    tuple.family = family;
    tuple.protocol = protocol;
    tuple.source.bytes = {10, 0, 0, 1};
    tuple.destination.bytes = {10, 0, 0, 2};
    if (family == Family::ipv6) {
        tuple.source.bytes[15] = 1;
        tuple.destination.bytes[15] = 2;
    }
    if (is_icmp(protocol)) {
        tuple.set_icmp({static_cast<std::uint8_t>(protocol == Protocol::icmp ? 8 : 128), 0, 77});
    } else if (has_ports(protocol)) {
        tuple.source_port = 40'000;
        tuple.destination_port = 443;
    }
    return tuple;
}

Protocol icmp_of(Family family) {
    return family == Family::ipv4 ? Protocol::icmp : Protocol::ipv6_icmp;
}

Tuple unreachable(const Tuple& about) {
    Tuple tuple = some_tuple(about.family, icmp_of(about.family));
    tuple.set_icmp({static_cast<std::uint8_t>(about.family == Family::ipv4 ? 3 : 1), 3, 0});
    return tuple;
}

TEST_CASE("a logged packet's headers are read, of each family and protocol") {
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        for (const Protocol protocol :
             {Protocol::tcp, Protocol::udp, Protocol::udplite, Protocol::sctp, Protocol::dccp,
              icmp_of(family), Protocol::gre, static_cast<Protocol>(50)}) {
            const Tuple tuple = some_tuple(family, protocol);
            const PacketBytes bytes = packet_bytes(tuple, TcpFlags{0x12});
            const PacketMessage packet = packet_of(bytes);
            INFO(tuple_text(tuple));
            CHECK(packet.headers.tuple == tuple);
            CHECK(packet.headers.whole);
            CHECK(packet.headers.length == bytes.size());
            CHECK(packet.headers.tcp_flags.has_value() == (protocol == Protocol::tcp));
            CHECK(!packet.about);
            CHECK(packet.group == 5);
            CHECK(packet.hook == PacketHook::forward);
        }
    }
}

TEST_CASE("what the kernel says beside the packet is read") {
    const Tuple tuple = some_tuple(Family::ipv4, Protocol::tcp);
    const PacketMessage packet = packet_of(AF_INET, packet_bytes(tuple), [&](MessageBuilder& message) {
        message.be32(NFULA_MARK, 0xd4c0e87b).be32(NFULA_IFINDEX_INDEV, 3).be32(NFULA_IFINDEX_OUTDEV, 4);
        message.be32(NFULA_SEQ, 17).string(NFULA_PREFIX, "flowkin:rejected").be32(NFULA_CT_INFO, 4);
        const std::array<std::uint64_t, 2> stamp{htobe64(1'700'000'000), htobe64(999'999)};
        message.bytes(NFULA_TIMESTAMP, stamp.data(), sizeof stamp);
        message.nested(NFULA_CT, [&](MessageBuilder& flow) {
            put_tuple(flow, CTA_TUPLE_ORIG, mirror(tuple));
            put_tuple(flow, CTA_TUPLE_REPLY, tuple);
            flow.be32(CTA_ID, 0x7be8c0d4).be32(CTA_STATUS, 8).be32(CTA_MARK, 9).be16(CTA_ZONE, 2);
        });
        message.u8(99, 1);  // of a newer kernel
    });
    CHECK(packet.mark == 0xd4c0e87b);
    CHECK(packet.in == 3);
    CHECK(packet.out == 4);
    CHECK(packet.sequence == 17U);
    CHECK(packet.prefix.view() == "flowkin:rejected");
    CHECK(packet.received == WallTime(nanoseconds(1'700'000'000'999'999'000)));
    CHECK(packet.info == ConntrackInfo::related_reply);
    REQUIRE(packet.flow);
    CHECK(packet.flow->key.original == mirror(tuple));
    CHECK(packet.flow->key.zone == Zone{2, ZoneDirection::both});
    CHECK(packet.flow->id == 0x7be8c0d4U);
    CHECK(packet.flow->mark == 9);
    CHECK(packet.flow->status->has(StatusBit::confirmed));
}

TEST_CASE("an ICMP error gives the packet that it is about, as far as it is there") {
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        const Tuple about = some_tuple(family, Protocol::tcp);
        PacketBytes inner = packet_bytes(about, TcpFlags{0x02});
        const std::size_t ip_bytes = inner.size() - 20;
        const PacketMessage whole = packet_of(packet_bytes(unreachable(about), {}, inner));
        REQUIRE(whole.about);
        CHECK(whole.about->tuple == about);
        CHECK(whole.about->tcp_flags == TcpFlags{0x02});
        inner.resize(ip_bytes + 8);  // as RFC 792 has it
        const PacketMessage eight = packet_of(packet_bytes(unreachable(about), {}, inner));
        REQUIRE(eight.about);
        CHECK(eight.about->whole);
        CHECK(!eight.about->tcp_flags);
        inner.resize(ip_bytes + 3);
        const PacketMessage three = packet_of(packet_bytes(unreachable(about), {}, inner));
        REQUIRE(three.about);
        CHECK(!three.about->whole);
        inner.resize(ip_bytes - 1);
        CHECK(!packet_of(packet_bytes(unreachable(about), {}, inner)).about);
        // An error about an error holds no third packet.
        const PacketMessage twice =
            packet_of(packet_bytes(unreachable(about), {}, packet_bytes(unreachable(about), {}, inner)));
        REQUIRE(twice.about);
        CHECK(twice.about->tuple == unreachable(about));
    }
}

TEST_CASE("a fragment other than the first has no ports") {
    PacketBytes ipv4 = packet_bytes(some_tuple(Family::ipv4, Protocol::udp));
    ipv4[6] = 0x20;  // more to come: the first
    CHECK(packet_of(ipv4).headers.whole);
    ipv4[7] = 0x10;
    CHECK(!packet_of(ipv4).headers.whole);
    CHECK(packet_of(ipv4).headers.tuple.source_port == 0);

    PacketBytes ipv6 = packet_bytes(some_tuple(Family::ipv6, Protocol::udp));
    ipv6[6] = 44;
    const PacketBytes fragment{17, 0, 0, 0x08, 0, 0, 0, 1};
    ipv6.insert(ipv6.begin() + 40, fragment.begin(), fragment.end());
    CHECK(!packet_of(ipv6).headers.whole);
    ipv6[40 + 3] = 1;  // offset 0, more to come
    CHECK(packet_of(ipv6).headers.whole);
    CHECK(packet_of(ipv6).headers.tuple == some_tuple(Family::ipv6, Protocol::udp));
}

TEST_CASE("extension headers of IPv6 are passed over, options of IPv4 too") {
    PacketBytes ipv6 = packet_bytes(some_tuple(Family::ipv6, Protocol::tcp), TcpFlags{0x04});
    ipv6[6] = 0;
    PacketBytes extensions{60, 1};  // hop by hop, 16 bytes; then destination options; then authentication
    extensions.resize(16);
    extensions.insert(extensions.end(), {51, 0, 0, 0, 0, 0, 0, 0});
    extensions.insert(extensions.end(), {6, 4});
    extensions.resize(16 + 8 + 24);
    ipv6.insert(ipv6.begin() + 40, extensions.begin(), extensions.end());
    CHECK(packet_of(ipv6).headers.tuple == some_tuple(Family::ipv6, Protocol::tcp));
    CHECK(packet_of(ipv6).headers.tcp_flags == TcpFlags{0x04});

    PacketBytes ipv4 = packet_bytes(some_tuple(Family::ipv4, Protocol::tcp), TcpFlags{0x04});
    ipv4[0] = 0x46;
    ipv4.insert(ipv4.begin() + 20, {1, 1, 1, 0});
    CHECK(packet_of(ipv4).headers.tuple == some_tuple(Family::ipv4, Protocol::tcp));
}

TEST_CASE("a packet cut short is read as far as it goes, and without its addresses it is a fault") {
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        const PacketBytes whole = packet_bytes(some_tuple(family, Protocol::tcp), TcpFlags{0x02});
        const std::size_t ip_bytes = whole.size() - 20;
        for (std::size_t bytes = 1; bytes < whole.size(); ++bytes) {
            const PacketBytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
            const Decoded decoded = decode(packet_datagram(family == Family::ipv4 ? AF_INET : AF_INET6,
                                                           PacketHook::input, cut, nothing_more));
            INFO(bytes);
            if (bytes < ip_bytes) {
                REQUIRE(std::holds_alternative<DecodeFault>(decoded));
                CHECK(std::get<DecodeFault>(decoded) == DecodeFault::truncated_packet);
            } else {
                const auto& headers = std::get<PacketMessage>(decoded).headers;
                CHECK(headers.whole == (bytes >= ip_bytes + 4));
                CHECK(headers.tcp_flags.has_value() == (bytes > ip_bytes + 13));
            }
        }
    }
}

TEST_CASE("a packet of another family is read by its own type, and none of IP is passed over") {
    const Tuple tuple = some_tuple(Family::ipv6, Protocol::tcp);
    CHECK(packet_of(AF_BRIDGE, packet_bytes(tuple), nothing_more).headers.tuple == tuple);
    MessageBuilder arp(NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET, 0, 3);
    const std::array<std::uint8_t, 4> header{0x08, 0x06, 0, 0};
    arp.bytes(NFULA_PACKET_HDR, header.data(), header.size());
    CHECK(std::holds_alternative<Skipped>(decode(arp.datagram())));
}

TEST_CASE("a packet that is not understood or none of IP still has its number, for it was not lost") {
    const auto number_of = [](const std::vector<std::uint8_t>& datagram) {
        Decoded decoded = Skipped{};
        MessageReader reader(datagram);
        REQUIRE(reader.next(decoded));
        const auto number = reader.unread_packet();
        CHECK(!reader.next(decoded));
        CHECK(!reader.unread_packet());
        return number;
    };
    const auto numbered = [](MessageBuilder& message) { message.be32(NFULA_SEQ, 7); };
    PacketBytes bytes = packet_bytes(some_tuple(Family::ipv4, Protocol::tcp));
    CHECK(!number_of(packet_datagram(AF_INET, PacketHook::forward, bytes, numbered)));
    bytes.resize(10);
    const auto cut = number_of(packet_datagram(AF_INET, PacketHook::forward, bytes, numbered));
    REQUIRE(cut);
    CHECK(cut->sequence == 7);
    CHECK(!number_of(packet_datagram(AF_INET, PacketHook::forward, bytes, nothing_more)));
    MessageBuilder arp(NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET, 0, 3);
    const std::array<std::uint8_t, 4> header{0x08, 0x06, 0, 0};
    arp.bytes(NFULA_PACKET_HDR, header.data(), header.size());
    numbered(arp);
    const auto passed_over = number_of(arp.datagram());
    REQUIRE(passed_over);
    CHECK(passed_over->sequence == 7);
}

TEST_CASE("a prefix may hold any bytes and ends with its NUL") {
    const PacketBytes bytes = packet_bytes(some_tuple(Family::ipv4, Protocol::tcp));
    const auto prefix = [&](const std::string& raw) {
        return decode(packet_datagram(AF_INET, PacketHook::input, bytes, [&](MessageBuilder& message) {
            message.bytes(NFULA_PREFIX, raw.data(), raw.size());
        }));
    };
    const std::string odd = "\xff\x01\"\\";
    CHECK(std::get<PacketMessage>(prefix(odd + '\0')).prefix.view() == odd);
    CHECK(std::get<PacketMessage>(prefix(std::string(1, '\0'))).prefix.empty());
    CHECK(std::get<DecodeFault>(prefix("no end")) == DecodeFault::wrong_size);
    CHECK(std::get<PacketMessage>(prefix(std::string(500, 'p') + '\0')).prefix.view().size() == 127);
}

TEST_CASE("what no kernel sends of a packet is a fault, or says nothing") {
    const PacketBytes bytes = packet_bytes(some_tuple(Family::ipv4, Protocol::tcp));
    const auto with = [&](auto more) {
        return decode(packet_datagram(AF_INET, PacketHook::input, bytes, more));
    };
    CHECK(std::holds_alternative<DecodeFault>(with([](MessageBuilder& m) { m.u8(NFULA_MARK, 1); })));
    CHECK(std::holds_alternative<DecodeFault>(with([](MessageBuilder& m) { m.u8(NFULA_PACKET_HDR, 1); })));
    CHECK(std::holds_alternative<DecodeFault>(with([](MessageBuilder& m) { m.u8(NFULA_TIMESTAMP, 1); })));
    CHECK(std::holds_alternative<DecodeFault>(
        with([](MessageBuilder& m) { m.nested(NFULA_CT, [](MessageBuilder& ct) { ct.be32(CTA_ID, 1); }); })));
    CHECK(!std::get<PacketMessage>(with([](MessageBuilder& m) { m.be32(NFULA_CT_INFO, 7); })).info);
    const std::array<std::uint64_t, 2> never{~std::uint64_t{0}, 0};
    CHECK(!std::get<PacketMessage>(with([&](MessageBuilder& m) {
               m.bytes(NFULA_TIMESTAMP, never.data(), sizeof never);
           })).received);
}

}  // namespace
}  // namespace flowkin::testing
