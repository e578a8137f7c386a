// SPDX-License-Identifier: GPL-2.0-or-later
#include "quantity_text.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace flowkin {

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    std::array<char, 32> text{};
    const bool whole = value == std::floor(value) || value >= 100;
    std::snprintf(text.data(), text.size(), "%.*f %s", whole ? 0 : 1, value, units[unit]);
    return text.data();
}

std::string duration_text(std::chrono::nanoseconds duration) {
    constexpr std::array<std::pair<std::int64_t, const char*>, 4> units{
        {{86'400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}}};
    std::int64_t rest = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    for (std::size_t unit = 0; unit + 1 < units.size(); ++unit) {
        const auto [seconds, name] = units[unit];
        if (rest >= seconds) {
            const auto [next_seconds, next_name] = units[unit + 1];
            return std::to_string(rest / seconds) + ' ' + name + ' ' +
                   std::to_string(rest % seconds / next_seconds) + ' ' + next_name;
        }
    }
    return std::to_string(rest) + " s";
}

std::string printable(std::string_view text) {
    std::string shown(text);
    for (char& letter : shown) {
        const auto byte = static_cast<unsigned char>(letter);
        // Behind 0xc2 stand the control characters beyond ASCII, which UTF-8 writes in two bytes.
        const bool control = byte < 0x20 || byte == 0x7f || byte == 0xc2;
        letter = control ? '?' : letter;
    }
    return shown;
}

}  // namespace flowkin
