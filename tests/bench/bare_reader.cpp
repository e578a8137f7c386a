// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "netlink/decode.hpp"
#include "netlink/netlink_socket.hpp"

/// bare_reader WAY BUFFER_BYTES: reads conntrack events in the namespace it runs in and throws them away, which is the
/// least that reading them can cost.
///
///   drain   reads nothing until a byte comes on standard input, then empties the socket with recvmmsg(2)
///   recv    one blocking recv(2) after another, until SIGTERM
///   dump    asks for the kernel's flow table and reads the answer, once
///
/// It says "ready" where it waits for what is to be read, and at its end one line of JSON: how many datagrams it read,
/// how many the socket lost, and the processor's time in between. It stays until its standard input ends.
namespace {

using flowkin::NetlinkSocket;

volatile std::sig_atomic_t asked_to_end = 0;

struct Reading {
    std::uint64_t datagrams = 0;
    bool failed = false;
};

/// As flowkin's own arena: no power of two, for slots that begin in the same cache sets evict one another.
constexpr std::size_t batch = 128;
constexpr std::size_t slot_bytes = 4096 + 192;

Reading drain(int fd) {
    std::vector<std::uint8_t> bytes(batch * slot_bytes);
    std::array<iovec, batch> parts{};
    std::array<mmsghdr, batch> headers{};
    for (std::size_t slot = 0; slot < batch; ++slot) {
        parts[slot] = {&bytes[slot * slot_bytes], slot_bytes};
        headers[slot].msg_hdr.msg_iov = &parts[slot];
        headers[slot].msg_hdr.msg_iovlen = 1;
    }
    Reading reading;
    while (true) {
        const int count = ::recvmmsg(fd, headers.data(), batch, MSG_DONTWAIT, nullptr);
        if (count > 0) {
            reading.datagrams += static_cast<std::uint64_t>(count);
        } else if (errno != ENOBUFS && errno != EINTR) {
            reading.failed = errno != EAGAIN;
            return reading;
        }
    }
}

Reading receive_each(int fd) {
    std::array<std::uint8_t, slot_bytes> bytes{};
    Reading reading;
    while (asked_to_end == 0) {
        if (::recv(fd, bytes.data(), bytes.size(), 0) > 0) {
            ++reading.datagrams;
        } else if (errno != ENOBUFS && errno != EINTR) {
            reading.failed = true;
            break;
        }
    }
    return reading;
}

/// Counts datagrams, not flows: what stands in them is not looked at, but for the end.
Reading read_dump(NetlinkSocket& socket) {
    Reading reading;
    if (!socket.send(flowkin::flow_dump_request(1))) {
        return {0, true};
    }
    std::vector<std::uint8_t> bytes(65'536);
    while (true) {
        const auto received = flowkin::receive_dump(socket, bytes);
        if (!received) {
            return {reading.datagrams, true};
        }
        if (*received == 0) {
            return {reading.datagrams,
                    true};  // a dump is answered as it is read: there is always more until its end
        }
        ++reading.datagrams;
        std::uint16_t type = 0;
        std::memcpy(&type, &bytes[offsetof(nlmsghdr, nlmsg_type)], sizeof type);
        if (type == NLMSG_DONE) {
            return reading;
        }
    }
}

double seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

rusage usage() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return used;
}

/// Whoever started it may look at what it has used.
void wait_for_end_of_input() {
    char any = 0;
    while (::read(STDIN_FILENO, &any, 1) == 1) {
    }
}

void say_ready() {
    std::puts("ready");
    std::fflush(stdout);
}

int run(std::string_view way, std::size_t buffer_bytes) {
    auto socket = NetlinkSocket::open(
        way == "dump" ? NetlinkSocket::Groups::none : NetlinkSocket::Groups::conntrack, buffer_bytes);
    if (!socket) {
        std::fprintf(stderr, "bare_reader: %s\n", socket.error().text.c_str());
        return 1;
    }
    Reading reading;
    rusage before{};
    if (way == "drain") {
        say_ready();
        char go = 0;
        if (::read(STDIN_FILENO, &go, 1) != 1) {
            return 1;
        }
        before = usage();
        reading = drain(socket->fd());
    } else if (way == "recv") {
        ::fcntl(socket->fd(), F_SETFL, 0);
        say_ready();
        before = usage();
        reading = receive_each(socket->fd());
    } else {
        before = usage();
        reading = read_dump(*socket);
    }
    const rusage after = usage();
    std::printf(R"({"datagrams": %llu, "lost": %u, "user_s": %.6f, "system_s": %.6f})"
                "\n",
                static_cast<unsigned long long>(reading.datagrams), socket->dropped(),
                seconds(after.ru_utime) - seconds(before.ru_utime),
                seconds(after.ru_stime) - seconds(before.ru_stime));
    std::fflush(stdout);
    wait_for_end_of_input();
    return reading.failed ? 1 : 0;
}

}  // namespace

int main(int count, char** words) {
    // Without SA_RESTART: a recv() that waits is to end.
    struct sigaction end {};
    end.sa_handler = [](int) { asked_to_end = 1; };
    ::sigaction(SIGTERM, &end, nullptr);

    const std::string_view way = count == 3 ? words[1] : "";
    const std::string_view number = count == 3 ? words[2] : "";
    std::size_t buffer_bytes = 0;
    const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), buffer_bytes);
    if ((way != "drain" && way != "recv" && way != "dump") || error != std::errc{} ||
        rest != number.data() + number.size()) {
        std::fprintf(stderr, "usage: bare_reader drain|recv|dump BUFFER_BYTES\n");
        return 64;
    }
    return run(way, buffer_bytes);
}
