// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <system_error>

#include "base/unique_fd.hpp"

/// connect_storm CONNECTIONS: TCP connections over loopback, each opened, closed by both ends, and the next, as fast as
/// it goes, in the namespace it runs in. Each bears its own source, so that none waits for the one before it.
namespace {

using flowkin::UniqueFd;

constexpr std::uint32_t listener_address = 0x7f000002;      // 127.0.0.2
constexpr std::uint32_t first_source_address = 0x7f010001;  // 127.1.0.1
constexpr std::uint16_t listener_port = 7000;
constexpr std::uint16_t first_source_port = 10'000;
constexpr std::uint32_t source_ports = 50'000;

sockaddr_in address_of(std::uint32_t host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(host);
    address.sin_port = htons(port);
    return address;
}

const sockaddr* generic(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

UniqueFd tcp_socket() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        throw std::system_error(errno, std::generic_category(), "socket");
    }
    return fd;
}

UniqueFd listen() {
    UniqueFd listener = tcp_socket();
    const sockaddr_in here = address_of(listener_address, listener_port);
    if (::bind(listener.get(), generic(here), sizeof here) != 0 || ::listen(listener.get(), 64) != 0) {
        throw std::system_error(errno, std::generic_category(), "listen");
    }
    return listener;
}

/// The handshake on loopback is over when connect() returns.
void connect_once(const UniqueFd& listener, std::uint32_t number) {
    const sockaddr_in here =
        address_of(first_source_address + number / source_ports,
                   static_cast<std::uint16_t>(first_source_port + number % source_ports));
    const sockaddr_in there = address_of(listener_address, listener_port);
    const UniqueFd near = tcp_socket();
    if (::bind(near.get(), generic(here), sizeof here) != 0 ||
        ::connect(near.get(), generic(there), sizeof there) != 0) {
        throw std::system_error(errno, std::generic_category(), "connect");
    }
    const UniqueFd far(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!far) {
        throw std::system_error(errno, std::generic_category(), "accept");
    }
}

}  // namespace

int main(int count, char** words) {
    const std::string_view number = count == 2 ? words[1] : "";
    std::uint32_t connections = 0;
    const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), connections);
    if (error != std::errc{} || rest != number.data() + number.size()) {
        std::fprintf(stderr, "usage: connect_storm CONNECTIONS\n");
        return 64;
    }
    try {
        const UniqueFd listener = listen();
        for (std::uint32_t made = 0; made < connections; ++made) {
            connect_once(listener, made);
        }
    } catch (const std::system_error& failure) {
        std::fprintf(stderr, "connect_storm: %s\n", failure.what());
        return 1;
    }
    return 0;
}
