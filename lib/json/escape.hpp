// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

/// Strings from outside hold any bytes. In a JSON string they come out as valid UTF-8: quotes, backslashes
/// and control characters escaped, and what is no UTF-8 replaced by U+FFFD, one for each maximal ill-formed
/// part (as the Unicode standard recommends in 3.9).
namespace flowkin {

/// What one byte may grow to ("\u001f").
inline constexpr std::size_t escaped_bytes_a_byte = 6;

/// Writes `text` without the quotes around it and returns where it stopped.
char* write_escaped(char* to, std::string_view text);

std::string escaped(std::string_view text);

}  // namespace flowkin
