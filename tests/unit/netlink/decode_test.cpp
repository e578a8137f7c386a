// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/decode.hpp"

#include <catch2/catch.hpp>
#include <cerrno>

#include "message_text.hpp"
#include "random_message.hpp"

namespace flowkin::testing {
namespace {

using Bytes = std::vector<std::uint8_t>;

Decoded decode(const Bytes& datagram) {
    Decoded decoded = Skipped{};
    MessageReader reader(datagram);
    REQUIRE(reader.next(decoded));
    Decoded more;
    REQUIRE(!reader.next(more));
    return decoded;
}

FlowMessage decode_flow(const Bytes& datagram) {
    const Decoded decoded = decode(datagram);
    REQUIRE(std::holds_alternative<FlowMessage>(decoded));
    return std::get<FlowMessage>(decoded);
}

DecodeFault fault_of(const Bytes& datagram) {
    const Decoded decoded = decode(datagram);
    REQUIRE(std::holds_alternative<DecodeFault>(decoded));
    return std::get<DecodeFault>(decoded);
}

Tuple tcp_tuple() {
    Tuple tuple;
    tuple.source.bytes = {10, 0, 0, 1};
    tuple.destination.bytes = {10, 0, 0, 2};
    tuple.source_port = 40'000;
    tuple.destination_port = 443;
    tuple.protocol = Protocol::tcp;
    return tuple;
}

/// A NEW with both tuples, to which `more` adds.
template <class More>
Bytes new_flow(More more) {
    MessageBuilder message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, AF_INET);
    put_tuple(message, CTA_TUPLE_ORIG, tcp_tuple());
    put_tuple(message, CTA_TUPLE_REPLY, mirror(tcp_tuple()));
    more(message);
    return message.datagram();
}

Bytes control_message(std::uint16_t type, std::uint16_t flags, std::int32_t code) {
    struct {
        nlmsghdr header;
        std::int32_t code;
    } message{{sizeof message, type, flags, 1, 0}, code};
    const auto* first = reinterpret_cast<const std::uint8_t*>(&message);
    return {first, first + sizeof message};
}

TEST_CASE("a flow's message decodes to what it was made of, whatever attributes it has") {
    RandomMessages random(1);
    Decoded decoded;  // reused: nothing of one message may be left in the next
    for (int round = 0; round < 20'000; ++round) {
        const FlowMessage flow = random.flow();
        const Bytes datagram = flow_datagram(flow);
        REQUIRE(MessageReader(datagram).next(decoded));
        REQUIRE(std::holds_alternative<FlowMessage>(decoded));
        REQUIRE(to_text(std::get<FlowMessage>(decoded)) == to_text(flow));
        REQUIRE(std::get<FlowMessage>(decoded).port_id == flow.port_id);
        REQUIRE(std::get<FlowMessage>(decoded).key == flow.key);
    }
}

TEST_CASE("an expectation's message decodes to what it was made of") {
    RandomMessages random(2);
    for (int round = 0; round < 5'000; ++round) {
        const ExpectationMessage expectation = random.expectation();
        const Decoded decoded = decode(expectation_datagram(expectation));
        REQUIRE(std::holds_alternative<ExpectationMessage>(decoded));
        REQUIRE(to_text(std::get<ExpectationMessage>(decoded)) == to_text(expectation));
    }
}

TEST_CASE("a message at an odd address decodes like any other") {
    const Bytes datagram = flow_datagram(RandomMessages(3).flow());
    const MessageText expected = to_text(decode_flow(datagram));
    for (std::size_t shift = 1; shift < 8; ++shift) {
        Bytes shifted(shift + datagram.size());
        std::copy(datagram.begin(), datagram.end(), shifted.begin() + static_cast<std::ptrdiff_t>(shift));
        Decoded decoded;
        REQUIRE(MessageReader(std::span(shifted).subspan(shift)).next(decoded));
        CHECK(to_text(std::get<FlowMessage>(decoded)) == expected);
    }
}

TEST_CASE("messages of one datagram come in turn") {
    RandomMessages random(4);
    Bytes datagram;
    std::vector<FlowMessage> flows;
    for (int count = 0; count < 40; ++count) {
        flows.push_back(random.flow());
        const Bytes one = flow_datagram(flows.back());
        datagram.insert(datagram.end(), one.begin(), one.end());
    }
    MessageReader reader(datagram);
    Decoded decoded;
    for (const FlowMessage& flow : flows) {
        REQUIRE(reader.next(decoded));
        CHECK(to_text(std::get<FlowMessage>(decoded)) == to_text(flow));
    }
    CHECK(!reader.next(decoded));
}

TEST_CASE("an absent attribute is absent, and an absent mark is 0") {
    const FlowMessage flow = decode_flow(new_flow([](MessageBuilder&) {}));
    CHECK(flow.mark == 0);
    CHECK(!flow.id);
    CHECK(!flow.status);
    CHECK(!flow.timeout_s);
    CHECK(!flow.protocol_state);
    CHECK(!flow.helper);
    CHECK(!flow.labels);
    CHECK(!flow.master);
    CHECK(!flow.original_counters);
    CHECK(!flow.reply_counters);
    CHECK(!flow.start);
    CHECK(!flow.stop);
    CHECK(!flow.event_time);
    CHECK(flow.key.zone == Zone{});
}

TEST_CASE("old kernels' 32-bit counters are read") {
    const FlowMessage flow = decode_flow(new_flow([](MessageBuilder& message) {
        message.nested(CTA_COUNTERS_ORIG, [](MessageBuilder& counters) {
            counters.be32(CTA_COUNTERS32_PACKETS, 0xffffffff);
            counters.be32(CTA_COUNTERS32_BYTES, 7);
        });
    }));
    CHECK(flow.original_counters == Counters{0xffffffff, 7});
}

TEST_CASE("labels of fewer words fill the first bits, as kernels before 4.8 send them") {
    const std::array<std::uint8_t, 8> two_words = {0x20, 0, 0, 0, 0, 0, 0, 0x80};
    const FlowMessage flow = decode_flow(new_flow(
        [&](MessageBuilder& message) { message.bytes(CTA_LABELS, two_words.data(), two_words.size()); }));
    REQUIRE(flow.labels);
    CHECK(flow.labels->has(5));
    CHECK(flow.labels->has(63));
    CHECK(!flow.labels->has(64));
}

TEST_CASE("a stamp of 0 and one that no clock gives are absent") {
    const FlowMessage flow = decode_flow(new_flow([](MessageBuilder& message) {
        message.nested(CTA_TIMESTAMP, [](MessageBuilder& stamps) {
            stamps.be64(CTA_TIMESTAMP_START, 0);
            stamps.be64(CTA_TIMESTAMP_STOP, ~std::uint64_t{0});
        });
    }));
    CHECK(!flow.start);
    CHECK(!flow.stop);
}

TEST_CASE("attributes that are not ours are passed over, whatever they hold") {
    const FlowMessage flow = decode_flow(new_flow([](MessageBuilder& message) {
        message.bytes(CTA_SECCTX, "x", 1);
        message.bytes(CTA_SYNPROXY, "xyz", 3);
        message.bytes(CTA_SEQ_ADJ_ORIG, "", 0);
        message.be32(CTA_USE, 1);
        message.bytes(28, "not yet invented", 16);
        message.bytes(200, "", 0);
        message.be32(CTA_MARK, 9);
    }));
    CHECK(flow.mark == 9);
}

TEST_CASE("a flow without a reply tuple has the mirror of its original") {
    MessageBuilder message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, 0, AF_INET);
    put_tuple(message, CTA_TUPLE_ORIG, tcp_tuple());
    CHECK(decode_flow(message.datagram()).reply == mirror(tcp_tuple()));
}

TEST_CASE("a known attribute of another size is a fault") {
    const std::array<unsigned, 7> numbers = {CTA_ID,   CTA_STATUS, CTA_TIMEOUT, CTA_MARK,
                                             CTA_ZONE, 27,         CTA_LABELS};
    const std::array<char, 32> bytes{};
    for (const unsigned type : numbers) {
        for (const std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{5}, std::size_t{20}}) {
            CAPTURE(type, size);
            CHECK(fault_of(new_flow([&](MessageBuilder& message) {
                      message.bytes(type, bytes.data(), size);
                  })) == DecodeFault::wrong_size);
        }
    }
    const auto inner = [&](unsigned outer, unsigned type, std::size_t size) {
        return new_flow([&](MessageBuilder& message) {
            message.nested(outer, [&](MessageBuilder& nest) { nest.bytes(type, bytes.data(), size); });
        });
    };
    CHECK(fault_of(inner(CTA_COUNTERS_ORIG, CTA_COUNTERS_PACKETS, 4)) == DecodeFault::wrong_size);
    CHECK(fault_of(inner(CTA_COUNTERS_REPLY, CTA_COUNTERS32_BYTES, 8)) == DecodeFault::wrong_size);
    CHECK(fault_of(inner(CTA_TIMESTAMP, CTA_TIMESTAMP_START, 4)) == DecodeFault::wrong_size);
    CHECK(fault_of(inner(CTA_HELP, CTA_HELP_NAME, 0)) == DecodeFault::wrong_size);
    CHECK(fault_of(inner(CTA_TUPLE_ORIG, CTA_TUPLE_ZONE, 4)) == DecodeFault::wrong_size);
}

TEST_CASE("a helper's name ends with a NUL, and an empty one is none") {
    const auto named = [](const void* bytes, std::size_t size) {
        return new_flow([&](MessageBuilder& message) {
            message.nested(CTA_HELP, [&](MessageBuilder& help) { help.bytes(CTA_HELP_NAME, bytes, size); });
        });
    };
    CHECK(decode_flow(named("ftp", 4)).helper == HelperName("ftp"));
    CHECK(decode_flow(named("\"\xff\n", 4)).helper == HelperName("\"\xff\n"));
    CHECK(!decode_flow(named("", 1)).helper);
    CHECK(fault_of(named("ftp", 3)) == DecodeFault::wrong_size);
}

TEST_CASE("an attribute that ends behind its parent, or is shorter than its header, is a fault") {
    Bytes datagram = new_flow([](MessageBuilder& message) { message.be32(CTA_MARK, 1); });
    const std::size_t mark_at = datagram.size() - 8;
    for (const std::uint16_t length :
         {std::uint16_t{0}, std::uint16_t{3}, std::uint16_t{9}, std::uint16_t{0xffff}}) {
        std::memcpy(&datagram[mark_at], &length, sizeof length);
        CHECK(fault_of(datagram) == DecodeFault::truncated_attribute);
    }
}

TEST_CASE("a flow without a whole original tuple is a fault") {
    const auto with = [](auto fill) {
        MessageBuilder message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, 0, AF_INET);
        fill(message);
        return message.datagram();
    };
    const auto original = [&](auto fill) {
        return with([&](MessageBuilder& message) { message.nested(CTA_TUPLE_ORIG, fill); });
    };
    const auto addresses = [](MessageBuilder& tuple) {
        tuple.nested(CTA_TUPLE_IP, [](MessageBuilder& ip) {
            ip.be32(CTA_IP_V4_SRC, 1);
            ip.be32(CTA_IP_V4_DST, 2);
        });
    };
    const auto protocol = [](MessageBuilder& tuple) {
        tuple.nested(CTA_TUPLE_PROTO, [](MessageBuilder& proto) { proto.u8(CTA_PROTO_NUM, 17); });
    };
    CHECK(fault_of(with([](MessageBuilder&) {})) == DecodeFault::missing_tuple);
    CHECK(fault_of(original([](MessageBuilder&) {})) == DecodeFault::missing_tuple);
    CHECK(fault_of(original(addresses)) == DecodeFault::missing_tuple);
    CHECK(fault_of(original(protocol)) == DecodeFault::missing_tuple);
    CHECK(fault_of(original([&](MessageBuilder& tuple) {
              protocol(tuple);
              tuple.nested(CTA_TUPLE_IP, [](MessageBuilder& ip) { ip.be32(CTA_IP_V4_SRC, 1); });
          })) == DecodeFault::missing_tuple);
    CHECK(fault_of(original([&](MessageBuilder& tuple) {
              addresses(tuple);
              tuple.nested(CTA_TUPLE_PROTO, [](MessageBuilder& proto) { proto.be16(CTA_PROTO_SRC_PORT, 1); });
          })) == DecodeFault::missing_tuple);
    CHECK(std::holds_alternative<FlowMessage>(decode(original([&](MessageBuilder& tuple) {
        protocol(tuple);
        addresses(tuple);
    }))));
}

TEST_CASE("an expectation without its master is a fault") {
    MessageBuilder message(NFNL_SUBSYS_CTNETLINK_EXP, IPCTNL_MSG_EXP_NEW, NLM_F_CREATE, AF_INET);
    put_tuple(message, CTA_EXPECT_TUPLE, tcp_tuple());
    put_tuple(message, CTA_EXPECT_MASK, tcp_tuple());
    CHECK(fault_of(message.datagram()) == DecodeFault::missing_tuple);
}

TEST_CASE("a family that is neither IPv4 nor IPv6 is a fault") {
    MessageBuilder message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, 0, AF_BRIDGE);
    put_tuple(message, CTA_TUPLE_ORIG, tcp_tuple());
    CHECK(fault_of(message.datagram()) == DecodeFault::unknown_family);
}

TEST_CASE("a length that lies is reported once and ends the datagram") {
    Bytes datagram = new_flow([](MessageBuilder&) {});
    const auto whole = static_cast<std::uint32_t>(datagram.size());
    for (const std::uint32_t length : {0U, 15U, whole + 1, 0xffffffffU}) {
        std::memcpy(datagram.data(), &length, sizeof length);
        CHECK(fault_of(datagram) == DecodeFault::truncated_header);
    }
    CHECK(fault_of(Bytes(15)) == DecodeFault::truncated_header);
    Decoded decoded;
    CHECK(!MessageReader(Bytes{}).next(decoded));
}

TEST_CASE("a message too short for its nfnetlink header is a fault") {
    Bytes datagram = new_flow([](MessageBuilder&) {});
    datagram.resize(sizeof(nlmsghdr) + 3);
    const auto length = static_cast<std::uint32_t>(datagram.size());
    std::memcpy(datagram.data(), &length, sizeof length);
    CHECK(fault_of(datagram) == DecodeFault::truncated_header);
}

TEST_CASE("after a message with a fault the next one is read") {
    Bytes datagram = new_flow([](MessageBuilder& message) { message.u8(CTA_MARK, 1); });
    const Bytes good = new_flow([](MessageBuilder& message) { message.be32(CTA_MARK, 5); });
    datagram.insert(datagram.end(), good.begin(), good.end());
    MessageReader reader(datagram);
    Decoded decoded;
    REQUIRE(reader.next(decoded));
    CHECK(std::get<DecodeFault>(decoded) == DecodeFault::wrong_size);
    REQUIRE(reader.next(decoded));
    CHECK(std::get<FlowMessage>(decoded).mark == 5);
}

TEST_CASE("requests and other subsystems' messages are skipped") {
    FlowMessage flow = RandomMessages(5).flow();
    Bytes request = flow_datagram(flow);
    request[6] |= NLM_F_REQUEST;
    CHECK(std::holds_alternative<Skipped>(decode(request)));
    CHECK(std::holds_alternative<Skipped>(decode(MessageBuilder(10, 0, 0, AF_INET).datagram())));
    CHECK(std::holds_alternative<Skipped>(
        decode(MessageBuilder(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET_STATS, 0, AF_INET).datagram())));
    CHECK(std::holds_alternative<Skipped>(decode(control_message(NLMSG_NOOP, 0, 0))));
}

TEST_CASE("a dump's end says whether the dump was interrupted or failed") {
    CHECK(!std::get<DumpDone>(decode(control_message(NLMSG_DONE, NLM_F_MULTI, 0))).interrupted);
    CHECK(std::get<DumpDone>(decode(control_message(NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 0)))
              .interrupted);
    CHECK(std::get<NetlinkError>(decode(control_message(NLMSG_DONE, NLM_F_MULTI, -ENOMEM))).code == ENOMEM);
}

TEST_CASE("an interrupted dump shows at each of its messages") {
    Bytes datagram = new_flow([](MessageBuilder&) {});
    datagram[6] |= NLM_F_DUMP_INTR;
    MessageReader reader(datagram);
    Decoded decoded;
    REQUIRE(reader.next(decoded));
    CHECK(reader.dump_interrupted());
    CHECK(!reader.next(decoded));
    CHECK(!reader.dump_interrupted());
}

TEST_CASE("an error message gives its errno, an acknowledgement gives 0") {
    CHECK(std::get<NetlinkError>(decode(control_message(NLMSG_ERROR, 0, -EPERM))).code == EPERM);
    CHECK(std::get<NetlinkError>(decode(control_message(NLMSG_ERROR, 0, 0))).code == 0);
    CHECK(std::get<NetlinkError>(decode(control_message(NLMSG_ERROR, 0, std::numeric_limits<int>::min())))
              .code > 0);
    Bytes too_short = control_message(NLMSG_ERROR, 0, 0);
    too_short.resize(sizeof(nlmsghdr));
    too_short[0] = sizeof(nlmsghdr);
    CHECK(fault_of(too_short) == DecodeFault::truncated_header);
}

TEST_CASE("random bytes after a good header never do more than fault") {
    RandomMessages random(6);
    std::size_t faults = 0;
    for (int round = 0; round < 20'000; ++round) {
        Bytes datagram = flow_datagram(random.flow());
        for (int change = 0; change < 3; ++change) {
            datagram[sizeof(nlmsghdr) + random.below(datagram.size() - sizeof(nlmsghdr))] =
                static_cast<std::uint8_t>(random.below(256));
        }
        MessageReader reader(datagram);
        for (Decoded decoded; reader.next(decoded);) {
            faults += std::holds_alternative<DecodeFault>(decoded) ? 1U : 0U;
        }
    }
    CHECK(faults > 1'000);
}

}  // namespace
}  // namespace flowkin::testing
