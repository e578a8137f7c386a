// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/netlink_socket.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "message_text.hpp"
#include "netlink/decode.hpp"
#include "support/network_namespace.hpp"

namespace flowkin::testing {
namespace {

FlowKey udp_flow(std::uint16_t port) {
    FlowKey key;
    key.original.source.bytes = {10, 9, 0, 1};
    key.original.destination.bytes = {10, 9, 0, 2};
    key.original.source_port = port;
    key.original.destination_port = 53;
    key.original.protocol = Protocol::udp;
    return key;
}

NetlinkSocket open_socket(NetlinkSocket::Groups groups, std::size_t receive_buffer_bytes = 0) {
    auto opened = NetlinkSocket::open(groups, receive_buffer_bytes);
    if (!opened) {
        FAIL(opened.error().text);
    }
    return std::move(*opened);
}

void send_request(NetlinkSocket& socket, const std::vector<std::uint8_t>& request) {
    const auto sent = socket.send(request);
    REQUIRE(sent);
}

std::uint32_t port_id(const NetlinkSocket& socket) {
    sockaddr_nl address{};
    socklen_t length = sizeof address;
    REQUIRE(::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
    return address.nl_pid;
}

bool readable(const NetlinkSocket& socket, int timeout_ms) {
    pollfd waiting{socket.fd(), POLLIN, 0};
    return ::poll(&waiting, 1, timeout_ms) == 1;
}

/// Receives until nothing is left: the flows that came, and the rest in one account.
struct Drained {
    std::vector<FlowMessage> flows;
    std::size_t not_kernel = 0;
    std::size_t overruns = 0;
};
Drained drain(NetlinkSocket& socket) {
    Drained drained;
    DatagramArena arena;
    while (readable(socket, 0)) {
        const Received received = socket.receive(arena);
        REQUIRE(received.error == 0);
        REQUIRE(received.datagrams == arena.size());
        drained.not_kernel += received.not_kernel;
        drained.overruns += received.overrun ? 1U : 0U;
        for (std::size_t index = 0; index < arena.size(); ++index) {
            Decoded decoded;
            for (MessageReader reader(arena[index]); reader.next(decoded);) {
                REQUIRE(std::holds_alternative<FlowMessage>(decoded));
                drained.flows.push_back(std::get<FlowMessage>(decoded));
            }
        }
    }
    return drained;
}

TEST_CASE("a flow's birth and death arrive from the kernel") {
    in_new_network_namespace([] {
        NetlinkSocket events = open_socket(NetlinkSocket::Groups::conntrack_and_expectations, 1 << 20);
        NetlinkSocket requests = open_socket(NetlinkSocket::Groups::none);
        FlowKey key = udp_flow(4'000);
        key.zone = {9, ZoneDirection::both};
        send_request(requests, create_request(key, 100, 0x55));
        send_request(requests, delete_request(key));

        const std::vector<FlowMessage> flows = drain(events).flows;
        REQUIRE(flows.size() == 2);
        CHECK(flows[0].kind == FlowMessageKind::new_flow);
        CHECK(flows[0].key == key);
        CHECK(flows[0].reply == mirror(key.original));
        CHECK(flows[0].mark == 0x55);
        CHECK(flows[0].port_id == port_id(requests));
        CHECK(flows[1].kind == FlowMessageKind::destroy);
        CHECK(flows[1].key == key);
        CHECK(flows[1].id == flows[0].id);
        CHECK(events.dropped() == 0);
    });
}

TEST_CASE("zones of one direction, IPv6 and other protocols come through the real kernel") {
    in_new_network_namespace([] {
        NetlinkSocket events = open_socket(NetlinkSocket::Groups::conntrack, 1 << 20);
        NetlinkSocket requests = open_socket(NetlinkSocket::Groups::none);
        std::vector<FlowKey> keys;
        for (const Protocol protocol : {Protocol::udp, Protocol::udplite, Protocol::sctp, Protocol::gre}) {
            keys.push_back(udp_flow(4'100));
            keys.back().original.protocol = protocol;
            keys.back().zone = {5, keys.size() % 2 == 0 ? ZoneDirection::original : ZoneDirection::reply};
        }
        keys.push_back(udp_flow(0));
        keys.back().original.protocol = static_cast<Protocol>(89);
        keys.back().original.destination_port = 0;
        keys.push_back(udp_flow(4'200));
        keys.back().original.family = Family::ipv6;
        keys.push_back(keys.back());
        keys.back().original.protocol = Protocol::ipv6_icmp;
        keys.back().original.set_icmp({128, 0, 77});

        std::vector<FlowKey> accepted;  // a kernel may lack a protocol
        for (const FlowKey& key : keys) {
            send_request(requests, create_request(key, 100));
            for (const FlowMessage& flow : drain(events).flows) {
                CHECK(flow.key == key);
                CHECK(flow.reply == mirror(key.original));
                accepted.push_back(flow.key);
            }
        }
        CHECK(accepted.size() >= 4);
    });
}

TEST_CASE("in an overrun what was received and what was dropped is all that was sent") {
    for (const bool no_enobufs : {false, true}) {
        in_new_network_namespace([no_enobufs] {
            constexpr std::uint16_t sent = 3'000;
            NetlinkSocket events = open_socket(NetlinkSocket::Groups::conntrack, 32'768);
            REQUIRE(events.set_no_enobufs(no_enobufs));
            NetlinkSocket requests = open_socket(NetlinkSocket::Groups::none);
            for (std::uint16_t port = 1; port <= sent; ++port) {
                send_request(requests, create_request(udp_flow(port), 100));
            }
            const Drained drained = drain(events);
            CHECK(drained.flows.size() < sent);
            CHECK(drained.flows.size() + events.dropped() == sent);
            CHECK(drained.overruns == (no_enobufs ? 0U : 1U));

            // Once it is drained it receives again.
            send_request(requests, create_request(udp_flow(sent + 1), 100));
            CHECK(drain(events).flows.size() == 1);
        });
    }
}

TEST_CASE("with broadcast errors on, no DESTROY is lost in an overrun") {
    in_new_network_namespace([] {
        constexpr std::uint16_t sent = 1'000;
        NetlinkSocket events = open_socket(NetlinkSocket::Groups::conntrack, 32'768);
        REQUIRE(events.set_broadcast_error(true));
        NetlinkSocket requests = open_socket(NetlinkSocket::Groups::none);
        for (std::uint16_t port = 1; port <= sent; ++port) {
            send_request(requests, create_request(udp_flow(port), 100));
            send_request(requests, delete_request(udp_flow(port)));
        }
        std::size_t destroyed = 0;
        do {
            for (const FlowMessage& flow : drain(events).flows) {
                destroyed += flow.kind == FlowMessageKind::destroy ? 1U : 0U;
            }
        } while (destroyed < sent && readable(events, 5'000));
        CHECK(destroyed == sent);
    });
}

TEST_CASE("a datagram that another program sent is refused") {
    in_new_network_namespace([] {
        NetlinkSocket events = open_socket(NetlinkSocket::Groups::conntrack, 1 << 20);
        NetlinkSocket stranger = open_socket(NetlinkSocket::Groups::none);
        FlowMessage forged;
        forged.key = udp_flow(4'300);
        forged.reply = mirror(forged.key.original);
        const auto datagram = flow_datagram(forged);
        sockaddr_nl address{};
        address.nl_family = AF_NETLINK;
        address.nl_pid = port_id(events);
        REQUIRE(::sendto(stranger.fd(), datagram.data(), datagram.size(), 0,
                         reinterpret_cast<sockaddr*>(&address), sizeof address) > 0);
        send_request(stranger, create_request(udp_flow(4'301), 100));

        const Drained drained = drain(events);
        CHECK(drained.not_kernel == 1);
        REQUIRE(drained.flows.size() == 1);
        CHECK(drained.flows[0].key == udp_flow(4'301));
    });
}

TEST_CASE("a dump gives every flow and then its end") {
    in_new_network_namespace([] {
        constexpr std::uint16_t flows = 500;
        NetlinkSocket requests = open_socket(NetlinkSocket::Groups::none);
        for (std::uint16_t port = 1; port <= flows; ++port) {
            send_request(requests, create_request(udp_flow(port), 100, port));
        }
        send_request(requests, flow_dump_request(7));
        std::vector<std::uint8_t> buffer(32'768);
        std::vector<bool> seen(flows + 1);
        bool done = false;
        while (!done) {
            REQUIRE(readable(requests, 5'000));
            const auto bytes = receive_dump(requests, buffer);
            REQUIRE(bytes);
            MessageReader reader{std::span(buffer).first(*bytes)};
            for (Decoded decoded; reader.next(decoded);) {
                if (const auto* flow = std::get_if<FlowMessage>(&decoded)) {
                    CHECK(flow->kind == FlowMessageKind::dump);
                    CHECK(!seen.at(flow->mark));
                    seen.at(flow->mark) = true;
                } else {
                    REQUIRE(std::holds_alternative<DumpDone>(decoded));
                    done = true;
                }
            }
        }
        CHECK(std::count(seen.begin(), seen.end(), true) == flows);
        CHECK(*receive_dump(requests, buffer) == 0);
    });
}

TEST_CASE("a dump's datagram that is longer than the buffer is an error") {
    in_new_network_namespace([] {
        NetlinkSocket requests = open_socket(NetlinkSocket::Groups::none);
        send_request(requests, create_request(udp_flow(1), 100));
        send_request(requests, flow_dump_request(7));
        std::vector<std::uint8_t> buffer(64);
        CHECK(!receive_dump(requests, buffer));
    });
}

TEST_CASE("the receive buffer is at least what was asked for, and never blocks") {
    NetlinkSocket socket = open_socket(NetlinkSocket::Groups::none, 16 << 20);
    CHECK(socket.receive_buffer_bytes() >= 16 << 20);
    DatagramArena arena;
    const Received received = socket.receive(arena);
    CHECK(received.datagrams == 0);
    CHECK(received.error == 0);
    CHECK(!received.overrun);
    CHECK(arena.size() == 0);
}

TEST_CASE("joining without CAP_NET_ADMIN says which capability is missing") {
    in_new_network_namespace([] {
        // Capabilities are a thread's own, and this thread ends with the test.
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        std::array<__user_cap_data_struct, 2> none{};
        REQUIRE(::syscall(SYS_capset, &header, none.data()) == 0);
        const auto opened = NetlinkSocket::open(NetlinkSocket::Groups::conntrack, 0);
        REQUIRE(!opened);
        CHECK(opened.error().fault == Fault::permission);
        CHECK(opened.error().text.find("CAP_NET_ADMIN") != std::string::npos);
    });
}

TEST_CASE("a socket that was kept elsewhere is taken over with its groups") {
    in_new_network_namespace([] {
        NetlinkSocket first = open_socket(NetlinkSocket::Groups::conntrack, 1 << 20);
        NetlinkSocket requests = open_socket(NetlinkSocket::Groups::none);
        send_request(requests, create_request(udp_flow(1), 100));
        auto second = NetlinkSocket::adopt(UniqueFd(::dup(first.fd())));
        REQUIRE(second);
        CHECK((::fcntl(second->fd(), F_GETFD) & FD_CLOEXEC) != 0);
        CHECK(drain(*second).flows.size() == 1);
    });
}

TEST_CASE("what is no netlink socket of netfilter is not taken over") {
    CHECK(!NetlinkSocket::adopt(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC))));
    CHECK(!NetlinkSocket::adopt(UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE))));
    CHECK(!NetlinkSocket::adopt(UniqueFd()));
}

}  // namespace
}  // namespace flowkin::testing
