// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/packet_watch.hpp"

#include <catch2/catch.hpp>

#include "recorder.hpp"

using namespace flowkin;
using namespace flowkin::test;

namespace {

constexpr std::uint8_t syn = 0x02;
constexpr std::uint8_t rst = 0x04;
constexpr std::uint8_t ack = 0x10;

PacketMessage tcp_packet(const Tuple& tuple, std::uint8_t flags, PacketHook hook) {
    PacketMessage packet;
    packet.group = 5;
    packet.headers.tuple = tuple;
    packet.headers.whole = true;
    packet.headers.tcp_flags = TcpFlags{flags};
    packet.hook = hook;
    packet.in = hook == PacketHook::output ? 0 : 1;
    packet.out = 2;
    return packet;
}

/// The answer of whoever `tuple` speaks to.
PacketMessage reset_to(const Tuple& tuple, PacketHook hook = PacketHook::output) {
    return tcp_packet(mirror(tuple), rst | ack, hook);
}

PacketMessage error_about(const Tuple& tuple, IcmpFields icmp, const Address& from,
                          PacketHook hook = PacketHook::output) {
    PacketMessage packet = tcp_packet(tuple, 0, hook);
    packet.headers.tcp_flags.reset();
    packet.headers.tuple = {from, tuple.source, 0, 0, tuple.family, Protocol::icmp};
    packet.headers.tuple.set_icmp(icmp);
    packet.about.emplace().tuple = tuple;
    packet.about->whole = true;
    return packet;
}

PacketMessage with_prefix(PacketMessage packet, std::string_view prefix) {
    packet.prefix = LogPrefix(prefix);
    return packet;
}

PacketMessage with_section(PacketMessage packet, const Tuple& original, KernelFlowId id, ConntrackInfo info,
                           bool confirmed = true) {
    packet.flow = dumped(original, id);
    if (!confirmed) {
        packet.flow->status = Status{};
    }
    packet.info = info;
    return packet;
}

Tuple udp(std::uint16_t source_port, std::uint16_t destination_port) {
    Tuple tuple = tcp(source_port, destination_port);
    tuple.protocol = Protocol::udp;
    return tuple;
}

constexpr IcmpFields port_unreachable{3, 3, 0};
const Address router = ipv4(10, 1, 0, 1);

struct Watched : Fixture {
    void log(const PacketMessage& packet, std::int64_t ms = 0) { watch.apply(packet, at_ms(ms)); }
    const PacketEvent& last() const {
        REQUIRE(!said.packets.empty());
        return said.packets.back().event;
    }
    PacketAction action_of(const PacketMessage& packet) {
        log(packet);
        return last().action;
    }
    PacketWatch watch{table, said};
};

}  // namespace

TEST_CASE("the conntrack section tells a rule's RST from an endpoint's") {
    const Tuple tuple = tcp(1000, 80);
    Watched f;
    f.apply(born(tuple, 9));
    const auto reset = [&](ConntrackInfo info) { return with_section(reset_to(tuple), tuple, 9, info); };
    CHECK(f.action_of(reset(ConntrackInfo::related_reply)) == PacketAction::rejected);
    CHECK(f.last().state == PacketState::related);
    CHECK(f.last().direction == PacketDirection::reply);
    CHECK(f.action_of(reset(ConntrackInfo::established_reply)) == PacketAction::reset);
    CHECK(f.last().state == PacketState::established);
    // What the rule says of it is then of no weight.
    CHECK(f.action_of(with_prefix(reset(ConntrackInfo::established), "flowkin:rejected")) ==
          PacketAction::reset);
}

TEST_CASE("where the kernel sends no section the prefix names the class") {
    const Tuple tuple = tcp(1000, 80);
    Watched f;
    const auto action = [&](std::string_view prefix) {
        return f.action_of(with_prefix(reset_to(tuple), prefix));
    };
    CHECK(action("flowkin:rejected") == PacketAction::rejected);
    CHECK(action("flowkin:rejected by policy 7") == PacketAction::rejected);
    CHECK(action("flowkin:reset") == PacketAction::reset);
    CHECK(action("flowkin:error") == PacketAction::error);
    CHECK(action("flowkin:invalid") == PacketAction::invalid);
    CHECK(f.last().state == PacketState::invalid);
    CHECK(action("flowkin:untracked") == PacketAction::invalid);
    CHECK(f.last().state == PacketState::untracked);
    CHECK(action("flowkin:rejectedness") == PacketAction::logged);
    CHECK(!f.last().state);
}

TEST_CASE(
    "with neither section nor prefix a RST is an endpoint's where it came by, and unknown where made here") {
    Watched f;
    CHECK(f.action_of(reset_to(tcp(1, 2), PacketHook::forward)) == PacketAction::reset);
    CHECK(f.action_of(reset_to(tcp(1, 2), PacketHook::output)) == PacketAction::logged);
}

TEST_CASE("an ICMP error that this host makes is a rule's unless the host makes it without one") {
    const Tuple tuple = udp(1000, 53);
    Watched f;
    const auto made_here = [&](IcmpFields icmp) {
        return f.action_of(
            with_section(error_about(tuple, icmp, router), tuple, 3, ConntrackInfo::related_reply, false));
    };
    for (const int code : {2, 3, 9, 10, 13}) {
        CHECK(made_here({3, static_cast<std::uint8_t>(code), 0}) == PacketAction::rejected);
    }
    CHECK(made_here({3, 0, 0}) == PacketAction::error);   // no route
    CHECK(made_here({3, 1, 0}) == PacketAction::error);   // no neighbour
    CHECK(made_here({3, 4, 0}) == PacketAction::error);   // too long
    CHECK(made_here({11, 0, 0}) == PacketAction::error);  // too old
    CHECK(f.action_of(with_section(error_about(tuple, port_unreachable, router, PacketHook::forward), tuple,
                                   3, ConntrackInfo::related_reply)) == PacketAction::error);
}

TEST_CASE("a UDP port of this host that was never answered is closed, one that was is refused") {
    const Tuple tuple = udp(1000, 53);
    Watched f;
    f.apply(born(tuple, 3));
    const PacketMessage error = error_about(tuple, port_unreachable, tuple.destination);
    CHECK(f.action_of(with_prefix(error, "flowkin:rejected")) == PacketAction::error);
    FlowMessage answered = updated(tuple, 3);
    answered.status = status({StatusBit::confirmed, StatusBit::seen_reply});
    f.apply(answered);
    CHECK(f.action_of(with_prefix(error, "flowkin:rejected")) == PacketAction::rejected);
    CHECK(f.last().uid == FlowUid{7, 1});
}

TEST_CASE("where sections are sent a packet without one belongs to no flow") {
    Watched f;
    const PacketMessage packet = tcp_packet(tcp(1, 2), ack, PacketHook::forward);
    CHECK(f.action_of(packet) == PacketAction::logged);
    f.watch.expect_sections();
    CHECK(f.action_of(packet) == PacketAction::invalid);
    CHECK(!f.last().state);  // INVALID and UNTRACKED look the same
}

TEST_CASE("the first packet of a child is RELATED and no answer of anybody") {
    const Tuple tuple = tcp(20, 1000);
    Watched f;
    CHECK(f.action_of(with_section(tcp_packet(tuple, syn, PacketHook::prerouting), tuple, 1,
                                   ConntrackInfo::related)) == PacketAction::logged);
    CHECK(f.last().state == PacketState::related);
}

TEST_CASE("a packet is joined with its flow by id and tuple, never by the id alone") {
    const Tuple tuple = tcp(1000, 80);
    Watched f;
    f.apply(born(tuple, 9));
    f.log(with_section(reset_to(tuple), tuple, 9, ConntrackInfo::established_reply));
    CHECK(f.last().uid == FlowUid{7, 1});
    CHECK(f.last().id_from == FlowIdSource::ct);

    f.log(with_section(reset_to(tuple), tuple, 10, ConntrackInfo::established_reply));
    CHECK(!f.last().uid);
    CHECK(f.last().id == 10U);
    const Tuple other = tcp(1001, 80);
    f.log(with_section(reset_to(other), other, 9, ConntrackInfo::established_reply));
    CHECK(!f.last().uid);
    FlowMessage zoned = dumped(tuple, 9);
    zoned.key.zone = {4, ZoneDirection::both};
    PacketMessage in_zone = with_section(reset_to(tuple), tuple, 9, ConntrackInfo::established_reply);
    in_zone.flow = zoned;
    f.log(in_zone);
    CHECK(!f.last().uid);
}

TEST_CASE("without an id a packet is joined by its tuple, an ICMP error by that of the packet in it") {
    const Tuple tuple = udp(1000, 53);
    Watched f;
    f.apply(born(tuple, 9));
    f.log(tcp_packet(tuple, 0, PacketHook::forward));
    CHECK(f.last().uid == FlowUid{7, 1});
    CHECK(f.last().direction == PacketDirection::original);
    CHECK(f.last().id_from == FlowIdSource::tuple);
    f.log(tcp_packet(mirror(tuple), 0, PacketHook::forward));
    CHECK(f.last().direction == PacketDirection::reply);
    f.log(error_about(tuple, port_unreachable, router, PacketHook::forward));
    CHECK(f.last().uid == FlowUid{7, 1});
    CHECK(f.last().direction == PacketDirection::reply);
    f.log(error_about(mirror(tuple), port_unreachable, router, PacketHook::forward));
    CHECK(f.last().direction == PacketDirection::original);

    PacketMessage cut = tcp_packet(tuple, 0, PacketHook::forward);
    cut.headers.whole = false;
    f.log(cut);
    CHECK(!f.last().uid);
}

TEST_CASE(
    "the id's byte order in the mark is learnt from three flows in a row, and forgotten when it is wrong") {
    MarkedFlowId marked;
    const auto learn = [&](Mark mark, KernelFlowId id, int times = 1) {
        while (times-- != 0) {
            marked.learn(mark, id);
        }
    };
    learn(0x04030201, 0x01020304, 2);
    CHECK(!marked.id(0x04030201));
    learn(7, 99);                   // a mark that is no id
    learn(0x01010101, 0x01010101);  // and one that says nothing
    learn(0x04030201, 0x01020304, 2);
    CHECK(!marked.id(0x04030201));
    learn(0x14131211, 0x11121314);
    CHECK(marked.id(0x04030201) == 0x01020304U);
    CHECK(!marked.id(0));
    learn(5, 6, 7);
    CHECK(marked.id(0x04030201));
    learn(5, 6);
    CHECK(!marked.id(0x04030201));
    learn(0x01020304, 0x01020304, 3);
    CHECK(marked.id(0x05060708) == 0x05060708U);
}

TEST_CASE(
    "once the byte order is learnt, a mark joins with the flow of that id only, and names one that never "
    "was") {
    Watched f;
    const Tuple tuple = tcp(1000, 80);
    f.apply(born(tuple, 0x11223344));
    PacketMessage packet = with_prefix(reset_to(tuple), "flowkin:reset");
    packet.mark = 0x44332211;
    for (int round = 0; round < 3; ++round) {
        f.log(packet);
        CHECK(f.last().uid);
    }
    CHECK(f.last().id_from == FlowIdSource::mark);
    CHECK(f.last().id == 0x11223344U);
    packet.mark = 0x44332212;  // another life of the tuple
    f.log(packet);
    CHECK(!f.last().uid);
    PacketMessage unknown = with_prefix(reset_to(tcp(2000, 80)), "flowkin:rejected");
    unknown.mark = 0x01000000;
    f.log(unknown);
    CHECK(f.last().id == 1U);
    CHECK(f.last().unconfirmed);
    CHECK(!f.last().uid);
}

TEST_CASE("a flow that a rule answers ends as a failure") {
    const Tuple tuple = tcp(1000, 80);
    Watched f;
    f.apply(born(tuple, 9));
    f.log(with_section(reset_to(tuple), tuple, 9, ConntrackInfo::related_reply));
    CHECK(!f.last().unconfirmed);
    FlowMessage end = destroyed(tuple, 9);
    end.status = status({StatusBit::confirmed, StatusBit::seen_reply});
    f.apply(end);
    CHECK(f.said.last().event.end.outcome == Outcome::failure);
}

TEST_CASE("a refused first packet waits for its answer, and the two are one record") {
    const Tuple tuple = tcp(1000, 23);
    Watched f;
    f.log(
        with_section(tcp_packet(tuple, syn, PacketHook::forward), tuple, 9, ConntrackInfo::new_flow, false));
    CHECK(f.said.packets.empty());
    f.log(with_section(reset_to(tuple), tuple, 9, ConntrackInfo::related_reply, false), 5);
    REQUIRE(f.said.packets.size() == 1);
    CHECK(f.last().action == PacketAction::rejected);
    CHECK(f.last().unconfirmed);
    REQUIRE(f.last().refused);
    CHECK(f.last().refused->at == at_ms(0));
    f.watch.tick(at_ms(10'000));
    CHECK(f.said.packets.size() == 1);
}

TEST_CASE("an answer takes the refused packet of its own id and tuple, the latest of them") {
    const Tuple tuple = tcp(1000, 23);
    Watched f;
    const auto refused = [&](const Tuple& of, KernelFlowId id, std::int64_t ms) {
        f.log(with_section(tcp_packet(of, syn, PacketHook::input), of, id, ConntrackInfo::new_flow, false),
              ms);
    };
    refused(tuple, 9, 0);
    refused(tcp(1001, 23), 9, 1);
    refused(tuple, 8, 2);
    refused(tuple, 9, 3);
    refused(tuple, 8, 4);
    f.log(with_section(reset_to(tuple), tuple, 9, ConntrackInfo::related_reply, false), 5);
    REQUIRE(f.last().refused);
    CHECK(f.last().refused->at == at_ms(3));
    f.log(with_section(reset_to(tcp(1002, 23)), tcp(1002, 23), 9, ConntrackInfo::related_reply, false), 6);
    CHECK(!f.last().refused);
}

TEST_CASE("an ICMP answer takes the refused packet that it is about, and shows that a rule made it") {
    const Tuple tuple = udp(1000, 53);
    Watched f;
    f.log(with_prefix(tcp_packet(tuple, 0, PacketHook::forward), "flowkin:refused"));
    f.log(error_about(tuple, {3, 1, 0}, router), 1);  // `reject with icmp host-unreachable`
    CHECK(f.last().action == PacketAction::rejected);
    CHECK(f.last().refused);
}

TEST_CASE("what an endpoint answers is not taken for the answer of a rule") {
    const Tuple tuple = tcp(1000, 23);
    Watched f;
    f.log(
        with_section(tcp_packet(tuple, syn, PacketHook::forward), tuple, 9, ConntrackInfo::new_flow, false));
    f.log(with_section(reset_to(tuple, PacketHook::forward), tuple, 9, ConntrackInfo::established_reply), 1);
    CHECK(f.last().action == PacketAction::reset);
    CHECK(!f.last().refused);
    f.watch.tick(at_ms(2000));
    CHECK(f.said.packets.size() == 2);
    CHECK(f.last().action == PacketAction::logged);
}

TEST_CASE(
    "a packet that nobody refused is a record of its own two seconds later, with the flow that came of it") {
    const Tuple tuple = tcp(1000, 80);
    Watched f;
    f.log(
        with_section(tcp_packet(tuple, syn, PacketHook::forward), tuple, 9, ConntrackInfo::new_flow, false));
    f.apply(born(tuple, 9), 1);
    f.watch.tick(at_ms(1999));
    CHECK(f.said.packets.empty());
    f.watch.tick(at_ms(2000));
    REQUIRE(f.said.packets.size() == 1);
    CHECK(f.last().action == PacketAction::logged);
    CHECK(f.last().state == PacketState::new_flow);
    CHECK(f.last().uid == FlowUid{7, 1});
    CHECK(f.last().at == at_ms(0));
}

TEST_CASE("no more than 256 packets wait, and none is left out") {
    Watched f;
    for (std::uint16_t port = 1; port <= 1000; ++port) {
        f.log(with_prefix(tcp_packet(tcp(port, 23), syn, PacketHook::forward), "flowkin:refused"));
    }
    CHECK(f.said.packets.size() == 1000 - 256);
    f.watch.let_all_go();
    REQUIRE(f.said.packets.size() == 1000);
    for (std::size_t i = 0; i < 1000; ++i) {
        CHECK(f.said.packets[i].packet.headers.tuple.source_port == i + 1);
    }
}

TEST_CASE("the kernel's numbers show what is missing, group by group, also where they wrap") {
    Watched f;
    const auto number = [&](std::uint16_t group, std::uint32_t sequence) {
        PacketMessage packet = tcp_packet(tcp(1, 2), ack, PacketHook::forward);
        packet.group = group;
        packet.sequence = sequence;
        f.log(packet);
    };
    number(5, 0xfffffffe);
    number(6, 3);
    number(5, 0xffffffff);
    number(5, 2);  // 0 and 1
    CHECK(f.watch.missing() == 2);
    number(6, 10);  // 4 to 9
    CHECK(f.watch.missing() == 8);
    f.watch.pass_over({6, 11});
    f.watch.pass_over({6, 13});
    number(6, 14);
    CHECK(f.watch.missing() == 9);
    number(6, 0);  // bound anew
    number(6, 1);
    CHECK(f.watch.missing() == 9);
}
