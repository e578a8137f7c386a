// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <limits>

/// Numbers as text. Each function writes to `to`, which has room, and returns where it stopped.
namespace flowkin {

/// "00" to "99" in one string: two digits cost one copy of two bytes.
inline constexpr auto digit_pairs = [] {
    std::array<char, 200> pairs{};
    for (std::size_t n = 0; n < 100; ++n) {
        pairs[2 * n] = static_cast<char>('0' + n / 10);
        pairs[2 * n + 1] = static_cast<char>('0' + n % 10);
    }
    return pairs;
}();

/// "00" to "ff", likewise.
inline constexpr auto hex_pairs = [] {
    constexpr char digits[] = "0123456789abcdef";
    std::array<char, 512> pairs{};
    for (std::size_t n = 0; n < 256; ++n) {
        pairs[2 * n] = digits[n / 16];
        pairs[2 * n + 1] = digits[n % 16];
    }
    return pairs;
}();

inline char* write_two_digits(char* to, unsigned below_100) {
    std::memcpy(to, &digit_pairs[std::size_t{2} * below_100], 2);
    return to + 2;
}

/// At most 19 digits: no integer of a line is beyond int64, because shippers and databases hold no more. A
/// larger one stands at that limit.
inline char* write_number(char* to, std::uint64_t value) {
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    return std::to_chars(to, to + 20, std::min(value, most)).ptr;
}

/// Sixteen lower-case hexadecimal digits.
inline char* write_hex(char* to, std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) {
        std::memcpy(to, &hex_pairs[2 * (value >> shift & 0xffU)], 2);
        to += 2;
    }
    return to;
}

}  // namespace flowkin
