// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow_filter.hpp"

#include <arpa/inet.h>

#include <catch2/catch.hpp>

using namespace flowkin;

namespace {

Address address(const char* text) {
    Address made;
    REQUIRE(::inet_pton(AF_INET, text, made.bytes.data()) == 1);
    return made;
}

/// 10.1.0.2:40000 → 10.2.0.2:21, translated to leave from 192.0.2.1:50000, a child's child.
struct Sample {
    Flow flow;
    Tuple reply;
    Lineage lineage;

    Sample() {
        flow.key.original = {.source = address("10.1.0.2"),
                             .destination = address("10.2.0.2"),
                             .source_port = 40000,
                             .destination_port = 21,
                             .protocol = Protocol::tcp};
        flow.key.zone.id = 5;
        flow.uid = {7, 3};
        flow.kernel_id = 99;
        flow.has_kernel_id = true;
        flow.mark = 0x1234;
        reply = mirror(flow.key.original);
        reply.destination = address("192.0.2.1");
        reply.destination_port = 50000;
        lineage.parent = {7, 2};
        lineage.root = {7, 1};
        lineage.depth = 2;
    }
    FlowView view() const { return {.flow = &flow, .reply = &reply, .lineage = &lineage}; }
    bool matches(const FlowFilter& filter) const { return filter.matches(view()); }
    bool bare_matches(const FlowFilter& filter) const { return filter.matches({.flow = &flow}); }
};

}  // namespace

TEST_CASE("a filter that asks for nothing lets every flow pass") {
    CHECK(Sample().matches({}));
}

TEST_CASE("an address or a port is that of either end, also as NAT translates it") {
    const Sample sample;
    for (const char* end : {"10.1.0.2", "10.2.0.2", "192.0.2.1"}) {
        CHECK(sample.matches({.address = FlowFilter::Host{Family::ipv4, address(end)}}));
    }
    CHECK_FALSE(sample.matches({.address = FlowFilter::Host{Family::ipv4, address("10.1.0.3")}}));
    CHECK_FALSE(sample.bare_matches({.address = FlowFilter::Host{Family::ipv4, address("192.0.2.1")}}));
    CHECK(sample.matches({.port = 40000}));
    CHECK(sample.matches({.port = 21}));
    CHECK(sample.matches({.port = 50000}));
    CHECK_FALSE(sample.matches({.port = 22}));
}

TEST_CASE("an IPv6 address that begins with an IPv4 address's bytes is another") {
    CHECK_FALSE(Sample().matches({.address = FlowFilter::Host{Family::ipv6, address("10.1.0.2")}}));
}

TEST_CASE("what stands in an ICMP flow's places for ports is no port") {
    Sample sample;
    sample.flow.key.original.protocol = Protocol::icmp;
    CHECK_FALSE(sample.bare_matches({.port = 21}));
}

TEST_CASE("protocol, mark, zone, parent, root, uid and id are compared") {
    const Sample sample;
    CHECK(sample.matches({.protocol = Protocol::tcp}));
    CHECK_FALSE(sample.matches({.protocol = Protocol::udp}));
    CHECK(sample.matches({.mark = 0x1234}));
    CHECK_FALSE(sample.matches({.mark = 0x34}));
    CHECK(sample.matches({.mark = 0x34, .mark_mask = 0xff}));
    CHECK(sample.matches({.zone = 5}));
    CHECK_FALSE(sample.matches({.zone = 0}));
    CHECK(sample.matches({.parent = FlowUid{7, 2}}));
    CHECK_FALSE(sample.matches({.parent = FlowUid{7, 1}}));
    CHECK_FALSE(sample.bare_matches({.parent = FlowUid{7, 2}}));
    CHECK(sample.matches({.root = FlowUid{7, 1}}));
    CHECK(sample.matches({.root = FlowUid{7, 3}}));  // the head of a family is of it
    CHECK_FALSE(sample.matches({.root = FlowUid{7, 2}}));
    CHECK(sample.matches({.uid = FlowUid{7, 3}}));
    CHECK_FALSE(sample.matches({.uid = FlowUid{8, 3}}));
    CHECK(sample.matches({.kernel_id = 99}));
    CHECK_FALSE(sample.matches({.kernel_id = 0}));
}

TEST_CASE("a flow fits only where all fits") {
    CHECK(Sample().matches({.port = 21, .protocol = Protocol::tcp, .zone = 5}));
    CHECK_FALSE(Sample().matches({.port = 21, .protocol = Protocol::tcp, .zone = 6}));
}
