// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <queue>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

/// flow_maker PER_SECOND SECONDS SEED: makes flows and keeps account of them.
///
/// Each flow is one UDP datagram over lo and has ports of its own; after a while (a moment, or some seconds) it is
/// deleted by a request to the kernel. SIGTERM ends it early; every flow is deleted at the end. On standard output a
/// line a flow, once it is over:
///
///   source port, destination port, made between, and, ended between, and
///
/// with the times in nanoseconds since 1970: the kernel's event lies between them. A flow that the kernel did not
/// know when it was to be deleted has zeros for its end.
namespace {

using flowkin::UniqueFd;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t source_ports = 60'000;
constexpr std::uint16_t first_source_port = 1024;
constexpr std::uint16_t first_destination_port = 20'000;

volatile std::sig_atomic_t asked_to_end = 0;

std::system_error failed(const char* doing) {
    return {errno, std::generic_category(), doing};
}

std::int64_t wall_ns() {
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

struct Flow {
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::int64_t made_after_ns = 0;
    std::int64_t made_before_ns = 0;
    Clock::time_point ends{};
};

struct EndsLater {
    bool operator()(const Flow& a, const Flow& b) const { return a.ends > b.ends; }
};

/// Sends datagrams from and to any port.
class RawSender {
  public:
    RawSender() : fd_(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)) {
        if (!fd_) {
            throw failed("raw socket");
        }
    }

    /// False where the kernel refuses the packet: its table is full.
    bool send(std::uint16_t source_port, std::uint16_t destination_port) {
        struct Packet {
            iphdr ip{};
            udphdr udp{};
        } packet;
        packet.ip.version = 4;
        packet.ip.ihl = 5;
        packet.ip.ttl = 64;
        packet.ip.protocol = IPPROTO_UDP;
        packet.ip.tot_len = htons(sizeof packet);
        packet.ip.saddr = packet.ip.daddr = htonl(INADDR_LOOPBACK);
        packet.udp.source = htons(source_port);
        packet.udp.dest = htons(destination_port);
        packet.udp.len = htons(sizeof packet.udp);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = packet.ip.daddr;
        return ::sendto(fd_.get(), &packet, sizeof packet, 0, reinterpret_cast<const sockaddr*>(&to),
                        sizeof to) == sizeof packet;
    }

  private:
    UniqueFd fd_;
};

/// Asks the kernel to delete flows, and waits for its answer.
class Deleter {
  public:
    Deleter() : socket_(::mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC)) {
        if (!socket_ || ::mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
            throw failed("netlink socket");
        }
    }

    /// False where the kernel knows no such flow.
    bool erase(const Flow& flow) {
        nlmsghdr* request = ::mnl_nlmsg_put_header(buffer_.data());
        request->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
        request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
        request->nlmsg_seq = ++sequence_;
        auto* subsystem = static_cast<nfgenmsg*>(::mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg)));
        subsystem->nfgen_family = AF_INET;
        subsystem->version = NFNETLINK_V0;
        nlattr* tuple = ::mnl_attr_nest_start(request, CTA_TUPLE_ORIG);
        nlattr* addresses = ::mnl_attr_nest_start(request, CTA_TUPLE_IP);
        ::mnl_attr_put_u32(request, CTA_IP_V4_SRC, htonl(INADDR_LOOPBACK));
        ::mnl_attr_put_u32(request, CTA_IP_V4_DST, htonl(INADDR_LOOPBACK));
        ::mnl_attr_nest_end(request, addresses);
        nlattr* protocol = ::mnl_attr_nest_start(request, CTA_TUPLE_PROTO);
        ::mnl_attr_put_u8(request, CTA_PROTO_NUM, IPPROTO_UDP);
        ::mnl_attr_put_u16(request, CTA_PROTO_SRC_PORT, htons(flow.source_port));
        ::mnl_attr_put_u16(request, CTA_PROTO_DST_PORT, htons(flow.destination_port));
        ::mnl_attr_nest_end(request, protocol);
        ::mnl_attr_nest_end(request, tuple);
        if (::mnl_socket_sendto(socket_.get(), request, request->nlmsg_len) < 0) {
            throw failed("asking for a delete");
        }
        const ssize_t bytes = ::mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
        if (bytes < 0 || ::mnl_cb_run(buffer_.data(), static_cast<std::size_t>(bytes), sequence_,
                                      ::mnl_socket_get_portid(socket_.get()), nullptr, nullptr) < 0) {
            if (errno == ENOENT) {
                return false;
            }
            throw failed("a delete");
        }
        return true;
    }

  private:
    struct Close {
        void operator()(mnl_socket* socket) const { ::mnl_socket_close(socket); }
    };
    std::unique_ptr<mnl_socket, Close> socket_;
    std::array<char, 8192> buffer_{};
    std::uint32_t sequence_ = 0;
};

class FlowMaker {
  public:
    explicit FlowMaker(std::uint32_t seed) : random_(seed) {}

    void make() {
        Flow flow;
        flow.source_port = static_cast<std::uint16_t>(first_source_port + made_ % source_ports);
        flow.destination_port = static_cast<std::uint16_t>(first_destination_port + made_ / source_ports);
        ++made_;
        flow.made_after_ns = wall_ns();
        if (!sender_.send(flow.source_port, flow.destination_port)) {
            return;
        }
        flow.made_before_ns = wall_ns();
        flow.ends = Clock::now() + lifetime();
        live_.push(flow);
    }

    /// Ends what is due by then.
    void end_until(Clock::time_point time) {
        while (!live_.empty() && live_.top().ends <= time) {
            const Flow flow = live_.top();
            live_.pop();
            const std::int64_t after_ns = wall_ns();
            const bool known = deleter_.erase(flow);
            std::printf(
                "%u,%u,%lld,%lld,%lld,%lld\n", flow.source_port, flow.destination_port,
                static_cast<long long>(flow.made_after_ns), static_cast<long long>(flow.made_before_ns),
                static_cast<long long>(known ? after_ns : 0), static_cast<long long>(known ? wall_ns() : 0));
        }
    }

  private:
    /// Half of them are gone at once or nearly so, the others stay some seconds.
    Clock::duration lifetime() {
        std::bernoulli_distribution is_short(0.5);
        std::exponential_distribution<double> seconds(is_short(random_) ? 50.0 : 0.3);
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds(random_)));
    }

    RawSender sender_;
    Deleter deleter_;
    std::mt19937 random_;
    std::priority_queue<Flow, std::vector<Flow>, EndsLater> live_;
    std::uint32_t made_ = 0;
};

std::uint32_t number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        throw std::invalid_argument("usage: flow_maker PER_SECOND SECONDS SEED");
    }
    return value;
}

void run(const std::vector<std::string_view>& words) {
    if (words.size() != 4) {
        throw std::invalid_argument("usage: flow_maker PER_SECOND SECONDS SEED");
    }
    const std::chrono::nanoseconds pace(1'000'000'000 / number(words[1]));
    FlowMaker maker(number(words[3]));
    const auto began = Clock::now();
    const auto ends = began + std::chrono::seconds(number(words[2]));
    auto due = began;
    while (due < ends && asked_to_end == 0) {
        const auto now = Clock::now();
        for (; due <= now; due += pace) {
            maker.make();
        }
        maker.end_until(now);
        std::this_thread::sleep_until(std::min(due, now + std::chrono::milliseconds(1)));
    }
    maker.end_until(Clock::time_point::max());
}

}  // namespace

int main(int count, char** words) {
    std::signal(SIGTERM, [](int) { asked_to_end = 1; });
    try {
        run({words, words + count});
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "flow_maker: %s\n", failure.what());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
