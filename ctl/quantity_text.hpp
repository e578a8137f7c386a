// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

/// Quantities and foreign text as a person reads them.
namespace flowkin {

/// "64 MiB", "1.5 KiB", "17 B"
std::string bytes_text(std::uint64_t bytes);

/// "3 d 4 h", "2 min 5 s": the two largest units.
std::string duration_text(std::chrono::nanoseconds duration);

/// Text from outside for a terminal: control characters become question marks.
std::string printable(std::string_view text);

}  // namespace flowkin
