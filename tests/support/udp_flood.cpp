// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <system_error>
#include <thread>

#include "base/unique_fd.hpp"

/// udp_flood SOURCE DESTINATION FLOWS [PER_SECOND]: flows of one UDP datagram each, as fast as a raw socket
/// takes them or at a rate, in the namespace it runs in. A flow is told by its ports, which follow from its
/// number; none comes twice.
namespace {

using flowkin::UniqueFd;

constexpr std::uint32_t source_ports = 60'000;
constexpr std::uint16_t first_source_port = 1024;
constexpr std::uint16_t first_destination_port = 20'000;
constexpr std::uint32_t flows_at_most = source_ports * 40'000;
constexpr unsigned batch = 64;

struct Flood {
    in_addr source{};
    in_addr destination{};
    std::uint32_t flows = 0;
    std::uint32_t flows_per_second = 0;  // 0: as fast as it goes
};

struct Packet {
    iphdr ip{};
    udphdr udp{};
    std::array<char, 4> payload{};
};
static_assert(sizeof(Packet) == 32);

Packet packet_of(const Flood& flood, std::uint32_t flow) {
    Packet packet;
    packet.ip.version = 4;
    packet.ip.ihl = 5;
    packet.ip.ttl = 64;
    packet.ip.protocol = IPPROTO_UDP;
    packet.ip.tot_len = htons(sizeof(Packet));
    packet.ip.saddr = flood.source.s_addr;
    packet.ip.daddr = flood.destination.s_addr;
    packet.udp.source = htons(static_cast<std::uint16_t>(first_source_port + flow % source_ports));
    packet.udp.dest = htons(static_cast<std::uint16_t>(first_destination_port + flow / source_ports));
    packet.udp.len = htons(sizeof(udphdr) + sizeof(packet.payload));
    return packet;
}

/// Sends every flow's packet; false where the kernel refuses one.
bool send_all(int socket, const Flood& flood) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr = flood.destination;
    std::array<Packet, batch> packets{};
    std::array<iovec, batch> parts{};
    std::array<mmsghdr, batch> messages{};
    for (unsigned i = 0; i < batch; ++i) {
        parts[i] = {&packets[i], sizeof(Packet)};
        messages[i].msg_hdr.msg_name = &to;
        messages[i].msg_hdr.msg_namelen = sizeof to;
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }

    // At a rate: so many a millisecond. A moment that was missed is not made up for by a burst.
    using std::chrono::steady_clock;
    const unsigned at_once =
        flood.flows_per_second == 0 ? batch : std::clamp(flood.flows_per_second / 1000, 1U, batch);
    auto due = steady_clock::now();
    std::uint32_t sent = 0;
    while (sent < flood.flows) {
        const unsigned count = std::min(at_once, flood.flows - sent);
        for (unsigned i = 0; i < count; ++i) {
            packets[i] = packet_of(flood, sent + i);
        }
        const int accepted = ::sendmmsg(socket, messages.data(), count, 0);
        if (accepted < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
            return false;
        }
        sent += static_cast<std::uint32_t>(std::max(accepted, 0));
        if (flood.flows_per_second != 0) {
            due = std::max(due, steady_clock::now()) +
                  std::chrono::nanoseconds(std::uint64_t{count} * 1'000'000'000U / flood.flows_per_second);
            std::this_thread::sleep_until(due);
        }
    }
    return true;
}

bool parse(std::string_view text, std::uint32_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

bool parse(int count, char** words, Flood& flood) {
    return (count == 4 || count == 5) && ::inet_pton(AF_INET, words[1], &flood.source) == 1 &&
           ::inet_pton(AF_INET, words[2], &flood.destination) == 1 && parse(words[3], flood.flows) &&
           flood.flows <= flows_at_most && (count == 4 || parse(words[4], flood.flows_per_second));
}

}  // namespace

int main(int count, char** words) {
    Flood flood;
    if (!parse(count, words, flood)) {
        std::fprintf(stderr, "usage: udp_flood SOURCE DESTINATION FLOWS [PER_SECOND]\n");
        return 64;
    }
    const UniqueFd socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    if (!socket || !send_all(socket.get(), flood)) {
        std::fprintf(stderr, "udp_flood: %s\n", std::strerror(errno));
        return 1;
    }
    return 0;
}
