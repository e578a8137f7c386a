// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.hpp"

/// Sizes and durations as an operator writes them: a whole number and one unit, "64MiB", "200ms". What is
/// formatted parses to the same value again.
namespace flowkin {

/// Units B, KiB, MiB and GiB. Empty: not a size, or more than 64 bits hold.
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

/// Units ms, s, m, h and d. Empty: not a duration, or more than 64 bits of nanoseconds hold.
std::optional<nanoseconds> parse_duration(std::string_view text);
/// To the millisecond.
std::string format_duration(nanoseconds duration);

}  // namespace flowkin
