// SPDX-License-Identifier: GPL-2.0-or-later
#include "listen_address.hpp"

#include <sys/un.h>

#include <algorithm>
#include <charconv>

namespace flowkin {
namespace {

constexpr std::string_view loopback4 = "127.0.0.1:";
constexpr std::string_view loopback6 = "[::1]:";

/// The path stands in the address itself, with its final zero byte.
constexpr std::size_t path_bytes_limit = sizeof(sockaddr_un::sun_path) - 1;

}  // namespace

std::optional<ListenAddress> parse_listen_address(std::string_view text) {
    if (text.substr(0, 1) == "/") {
        const bool plain = std::none_of(
            text.begin(), text.end(), [](char letter) { return static_cast<unsigned char>(letter) < 0x20; });
        if (text.size() > path_bytes_limit || text.back() == '/' || !plain) {
            return std::nullopt;
        }
        return std::string(text);
    }
    for (const std::string_view host : {loopback4, loopback6}) {
        if (text.substr(0, host.size()) != host) {
            continue;
        }
        const std::string_view digits = text.substr(host.size());
        LoopbackPort address{.ipv6 = host == loopback6};
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
        if (error != std::errc() || end != digits.data() + digits.size() || address.port == 0) {
            return std::nullopt;
        }
        return address;
    }
    return std::nullopt;
}

std::string listen_text(const ListenAddress& address) {
    if (const auto* path = std::get_if<std::string>(&address)) {
        return *path;
    }
    const auto& at = std::get<LoopbackPort>(address);
    return std::string(at.ipv6 ? loopback6 : loopback4) + std::to_string(at.port);
}

}  // namespace flowkin
