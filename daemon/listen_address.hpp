// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace flowkin {

/// A port of this machine's loopback: nobody else can reach it.
struct LoopbackPort {
    bool ipv6 = false;
    std::uint16_t port = 0;
    friend bool operator==(const LoopbackPort&, const LoopbackPort&) = default;
};

/// Where flowkin may listen: the path of a unix socket, or a port of the loopback.
using ListenAddress = std::variant<std::string, LoopbackPort>;

/// Reads "/run/flowkin/metrics.sock", "127.0.0.1:9464" or "[::1]:9464"; nothing where it is none of them.
std::optional<ListenAddress> parse_listen_address(std::string_view text);

/// The text that parses to it.
std::string listen_text(const ListenAddress& address);

}  // namespace flowkin
