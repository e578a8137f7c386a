// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/netfilter/nf_conntrack_common.h>
#include <poll.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "netlink/netlink_socket.hpp"
#include "support/conntrack_message_builder.hpp"

/// flow_batches FLOWS [FIRST]: makes UDP flows by requests to the kernel, a batch a system call and no packet at all, in the
/// namespace it runs in. They live for an hour unless somebody deletes them. A flow is told by its number, from FIRST on.
namespace {

constexpr std::uint32_t batch = 64;
constexpr std::uint32_t source_ports = 60'000;
constexpr std::uint16_t first_source_port = 1024;
constexpr std::uint32_t lifetime_s = 3600;

std::vector<std::uint8_t> request_for(std::uint32_t number) {
    flowkin::FlowMessage flow;
    flowkin::Tuple& tuple = flow.key.original;
    const std::uint32_t host = number / source_ports;
    tuple.source.bytes = {10, 9, static_cast<std::uint8_t>(host >> 8U), static_cast<std::uint8_t>(host)};
    tuple.destination.bytes = {10, 10, 0, 1};
    tuple.source_port = static_cast<std::uint16_t>(first_source_port + number % source_ports);
    tuple.destination_port = 53;
    tuple.protocol = flowkin::Protocol::udp;
    flow.reply = flowkin::mirror(tuple);
    flow.status = flowkin::Status{IPS_CONFIRMED};
    flow.timeout_s = lifetime_s;
    std::vector<std::uint8_t> bytes = flowkin::testing::flow_datagram(flow);
    nlmsghdr header{};
    std::memcpy(&header, bytes.data(), sizeof header);
    header.nlmsg_flags |= NLM_F_REQUEST;
    header.nlmsg_seq = number + 1;
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

/// The kernel answers where it refuses something, and only then.
bool was_refused(const flowkin::NetlinkSocket& socket) {
    pollfd answer{socket.fd(), POLLIN, 0};
    return ::poll(&answer, 1, 0) != 0;
}

int run(std::uint32_t flows, std::uint32_t first) {
    auto socket = flowkin::NetlinkSocket::open(flowkin::NetlinkSocket::Groups::none, 0);
    if (!socket) {
        std::fprintf(stderr, "flow_batches: %s\n", socket.error().text.c_str());
        return 1;
    }
    std::vector<std::uint8_t> requests;
    for (std::uint32_t number = first; number < first + flows;) {
        requests.clear();
        for (std::uint32_t i = 0; i < batch && number < first + flows; ++i, ++number) {
            const auto request = request_for(number);
            requests.insert(requests.end(), request.begin(), request.end());
        }
        if (!socket->send(requests) || was_refused(*socket)) {
            std::fprintf(stderr, "flow_batches: the kernel refused a flow of the last %u before %u\n", batch,
                         number);
            return 1;
        }
    }
    return 0;
}

bool parse(std::string_view text, std::uint32_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

int main(int count, char** words) {
    std::uint32_t flows = 0;
    std::uint32_t first = 0;
    if ((count != 2 && count != 3) || !parse(words[1], flows) || (count == 3 && !parse(words[2], first))) {
        std::fprintf(stderr, "usage: flow_batches FLOWS [FIRST]\n");
        return 64;
    }
    return run(flows, first);
}
