// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/event_filter.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "netlink/decode.hpp"
#include "random_message.hpp"
#include "support/captures.hpp"
#include "support/conntrack_message_builder.hpp"

/// The kernel itself runs the program, on a pair of sockets; the decoder and IgnoredFlows are what it has to
/// agree with.
namespace flowkin::testing {
namespace {

class FilteredSocket {
  public:
    FilteredSocket() {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
        near_.reset(ends[0]);
        far_.reset(ends[1]);
    }

    Result<void> filter(const IgnoredFlows& ignored) { return set_event_filter(far_.get(), ignored); }

    /// Whether the message comes through.
    bool passes(const std::vector<std::uint8_t>& message) {
        REQUIRE(::send(near_.get(), message.data(), message.size(), 0) ==
                static_cast<ssize_t>(message.size()));
        std::array<std::uint8_t, 16'384> received{};
        const ssize_t bytes = ::recv(far_.get(), received.data(), received.size(), 0);
        CHECK((bytes < 0 || static_cast<std::size_t>(bytes) == message.size()));
        return bytes >= 0;
    }

  private:
    UniqueFd near_;
    UniqueFd far_;
};

Subnet subnet(Family family, std::initializer_list<unsigned> bytes, unsigned bits) {
    Subnet made{family, {}, bits};
    std::transform(bytes.begin(), bytes.end(), made.address.bytes.begin(),
                   [](unsigned byte) { return static_cast<std::uint8_t>(byte); });
    return made;
}

IgnoreRule rule(std::optional<Subnet> subnet, std::optional<Protocol> protocol = {},
                std::optional<std::uint16_t> port = {}) {
    return {subnet, protocol, port};
}

/// Each message of a flow by itself, as events come.
std::vector<std::vector<std::uint8_t>> captured_messages() {
    std::vector<std::vector<std::uint8_t>> messages;
    for (const auto& path : capture_paths()) {
        for (const CapturedDatagram& datagram : read_capture(path)) {
            std::span<const std::uint8_t> rest = datagram.bytes;
            while (rest.size() >= sizeof(nlmsghdr)) {
                nlmsghdr header{};
                std::memcpy(&header, rest.data(), sizeof header);
                const std::size_t length = std::min<std::size_t>(header.nlmsg_len, rest.size());
                messages.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length));
                rest = rest.subspan(std::min(rest.size(), std::size_t{NLMSG_ALIGN(length)}));
            }
        }
    }
    return messages;
}

/// Holds the kernel against the predicate; gives how many messages were passed over.
std::size_t compare(const IgnoredFlows& ignored, const std::vector<std::vector<std::uint8_t>>& messages) {
    FilteredSocket socket;
    REQUIRE(socket.filter(ignored));
    std::size_t passed_over = 0;
    Decoded decoded{Skipped{}};
    for (const auto& message : messages) {
        MessageReader reader(message);
        REQUIRE(reader.next(decoded));
        const auto* const flow = std::get_if<FlowMessage>(&decoded);
        const bool wanted = flow == nullptr || !ignored.matches(flow->key.original);
        REQUIRE(socket.passes(message) == wanted);
        passed_over += wanted ? 0U : 1U;
    }
    return passed_over;
}

const std::vector<IgnoreRule>& rules_of_each_kind() {
    static const std::vector<IgnoreRule> rules{
        rule(subnet(Family::ipv4, {127}, 8)),
        rule(subnet(Family::ipv4, {10, 2, 0, 2}, 32)),
        rule(subnet(Family::ipv4, {10, 1, 0, 0}, 15)),
        rule(subnet(Family::ipv4, {}, 0)),
        rule(subnet(Family::ipv4, {128}, 1)),
        rule(subnet(Family::ipv6, {0xfd, 0x01}, 16)),
        rule(subnet(Family::ipv6, {}, 0)),
        rule(subnet(Family::ipv6, {0xfd, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 128)),
        rule(subnet(Family::ipv6, {0xfd, 0x02, 0, 0, 0, 0, 0, 0, 0x80}, 67)),
        rule({}, Protocol::udp),
        rule({}, Protocol::icmp),
        rule({}, Protocol::ipv6_icmp),
        rule({}, Protocol::gre),
        rule({}, Protocol::tcp, 21),
        rule({}, Protocol::udp, 69),
        rule({}, Protocol::icmp, 2048),
        rule({}, {}, 53),
        rule({}, {}, 0xffff),
        rule(subnet(Family::ipv4, {10, 2}, 16), Protocol::tcp, 21),
    };
    return rules;
}

}  // namespace

TEST_CASE("what the kernel passes over is what is ignored, for each captured message and each kind of rule") {
    const auto messages = captured_messages();
    REQUIRE(messages.size() > 100);
    std::size_t passed_over = 0;
    for (const IgnoreRule& one : rules_of_each_kind()) {
        passed_over += compare(IgnoredFlows({one}), messages);
    }
    CHECK(passed_over > 100);
    CHECK(compare(IgnoredFlows(rules_of_each_kind()), messages) > 50);
}

TEST_CASE("what the kernel passes over is what is ignored, for messages with any attributes and any values") {
    RandomMessages random(4);
    std::vector<std::vector<std::uint8_t>> messages;
    std::vector<IgnoreRule> rules;
    for (int i = 0; i < 2000; ++i) {
        const FlowMessage flow = random.flow();
        messages.push_back(flow_datagram(flow));
        if (i % 50 != 0) {
            continue;
        }
        // Rules that this message's like meets.
        const Tuple& original = flow.key.original;
        const bool ipv4 = original.family == Family::ipv4;
        const auto bits = static_cast<unsigned>(random.below(ipv4 ? 33 : 129));
        rules.push_back(rule(Subnet{original.family, original.source, bits}));
        rules.push_back(rule(Subnet{original.family, original.destination, ipv4 ? 32U : 128U}));
        rules.push_back(rule({}, original.protocol, original.destination_port));
        rules.push_back(rule({}, {}, original.destination_port));
    }
    std::size_t passed_over = 0;
    for (const IgnoreRule& one : rules) {
        passed_over += compare(IgnoredFlows({one}), messages);
    }
    CHECK(passed_over > rules.size());
}

TEST_CASE("all that is no message of a flow comes through, and so does what cannot be read") {
    FilteredSocket socket;
    // Each flow of either family is ignored.
    REQUIRE(
        socket.filter(IgnoredFlows({rule(subnet(Family::ipv4, {}, 0)), rule(subnet(Family::ipv6, {}, 0))})));
    RandomMessages random(5);
    for (int i = 0; i < 200; ++i) {
        CHECK(socket.passes(expectation_datagram(random.expectation())));
    }
    const std::vector<std::uint8_t> whole = flow_datagram(random.flow());
    CHECK_FALSE(socket.passes(whole));
    for (const std::ptrdiff_t length : {1, 4, 15, 16, 19, 20, 22, 24, 27, 30}) {
        CAPTURE(length);
        CHECK(socket.passes({whole.begin(), whole.begin() + length}));
    }
    // Attributes of a wrong size, at the message's very end.
    for (const unsigned size : {0U, 1U, 3U, 5U, 15U, 17U}) {
        CAPTURE(size);
        const std::vector<std::uint8_t> bytes(size, 1);
        MessageBuilder message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW, 0, AF_INET);
        message.nested(CTA_TUPLE_ORIG, [&](MessageBuilder& tuple) {
            tuple.nested(CTA_TUPLE_PROTO, [](MessageBuilder& protocol) { protocol.u8(CTA_PROTO_NUM, 17); });
            tuple.nested(CTA_TUPLE_IP, [&](MessageBuilder& ip) {
                ip.be32(CTA_IP_V4_SRC, 1);
                ip.bytes(CTA_IP_V4_DST, bytes.data(), bytes.size());
            });
        });
        CHECK(socket.passes(message.datagram()));
    }
    std::vector<std::uint8_t> odd = whole;
    odd[16] = 7;  // a family that is neither
    CHECK(socket.passes(odd));
}

TEST_CASE("a filter takes the place of the one before, and without rules there is none") {
    FilteredSocket socket;
    FlowMessage flow;
    flow.key.original.protocol = Protocol::udp;
    flow.reply = mirror(flow.key.original);
    const auto message = flow_datagram(flow);
    REQUIRE(socket.filter({}));
    CHECK(socket.passes(message));
    REQUIRE(socket.filter(IgnoredFlows({rule({}, Protocol::udp)})));
    CHECK_FALSE(socket.passes(message));
    REQUIRE(socket.filter(IgnoredFlows({rule({}, Protocol::tcp)})));
    CHECK(socket.passes(message));
    REQUIRE(socket.filter(IgnoredFlows({rule({}, Protocol::udp)})));
    REQUIRE(socket.filter({}));
    CHECK(socket.passes(message));
}

TEST_CASE(
    "as many rules as the configuration takes are a program that the kernel takes, or refuses in words") {
    std::vector<IgnoreRule> rules;
    for (unsigned i = 0; i < 66; ++i) {
        rules.push_back(rule(subnet(Family::ipv6, {0xfd, i, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128)));
    }
    CHECK(event_filter_program(IgnoredFlows(rules)).size() < BPF_MAXINSNS);
    FilteredSocket socket;
    if (const auto set = socket.filter(IgnoredFlows(rules)); !set) {
        CHECK(set.error().text.find("giving a socket its filter") == 0);
    }
    const std::vector<IgnoreRule> too_many(1000, rules.front());
    const auto refused = socket.filter(IgnoredFlows(too_many));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text == "more rules than a filter of the kernel can hold");
}

}  // namespace flowkin::testing
