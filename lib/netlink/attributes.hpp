// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "netlink/decode.hpp"

/// Netlink attributes read from bytes of any alignment and any content.
///
/// An attribute is a length and a type of 16 bits each in host order, then the payload, then padding up to
/// four bytes. Payloads of nfnetlink are in network order. Nothing here is called out of line: these few
/// instructions run some thirty times for each event.
namespace flowkin::wire {

using Bytes = std::span<const std::uint8_t>;

/// What a reading step gives: empty where all is well.
using Check = std::optional<DecodeFault>;

template <std::unsigned_integral T>
T load_host(const std::uint8_t* bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

template <std::unsigned_integral T>
T load_network(const std::uint8_t* bytes) {
    const T value = load_host<T>(bytes);
    if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1) {
        return value;
    } else if constexpr (sizeof(T) == 2) {
        return __builtin_bswap16(value);
    } else if constexpr (sizeof(T) == 4) {
        return __builtin_bswap32(value);
    } else {
        return __builtin_bswap64(value);
    }
}

/// Netlink pads headers and payloads to four bytes.
constexpr std::size_t padded(std::size_t bytes) {
    return (bytes + 3) & ~std::size_t{3};
}

/// What follows `used` bytes and their padding, which the last one in a buffer may lack.
inline Bytes after(Bytes bytes, std::size_t used) {
    return bytes.subspan(std::min(padded(used), bytes.size()));
}

struct Attribute {
    std::uint16_t type = 0;  ///< without the flag bits
    Bytes payload;
};

/// Gives each attribute to `visit`, until one returns a fault.
template <class Visit>
[[gnu::always_inline]] inline Check for_each_attribute(Bytes rest, Visit visit) {
    while (!rest.empty()) {
        if (rest.size() < sizeof(nlattr)) {
            return DecodeFault::truncated_attribute;
        }
        const std::size_t length = load_host<std::uint16_t>(rest.data());
        if (length < sizeof(nlattr) || length > rest.size()) {
            return DecodeFault::truncated_attribute;
        }
        const auto type =
            static_cast<std::uint16_t>(load_host<std::uint16_t>(rest.data() + 2) & NLA_TYPE_MASK);
        if (const Check fault =
                visit(Attribute{type, rest.subspan(sizeof(nlattr), length - sizeof(nlattr))})) {
            return fault;
        }
        rest = after(rest, length);
    }
    return {};
}

template <std::unsigned_integral T>
Check read(Bytes payload, T& value) {
    if (payload.size() != sizeof(T)) {
        return DecodeFault::wrong_size;
    }
    value = load_network<T>(payload.data());
    return {};
}

template <std::unsigned_integral T>
Check read(Bytes payload, std::optional<T>& value) {
    if (payload.size() != sizeof(T)) {
        return DecodeFault::wrong_size;
    }
    value = load_network<T>(payload.data());
    return {};
}

/// A name ends with its NUL. An empty one says nothing, so it stays absent.
inline Check read(Bytes payload, std::optional<HelperName>& name) {
    if (payload.empty() || payload.back() != 0) {
        return DecodeFault::wrong_size;
    }
    const auto end = std::find(payload.begin(), payload.end(), std::uint8_t{0});
    const auto length = static_cast<std::size_t>(end - payload.begin());
    if (length > 0) {
        name.emplace(std::string_view(reinterpret_cast<const char*>(payload.data()), length));
    }
    return {};
}

}  // namespace flowkin::wire
