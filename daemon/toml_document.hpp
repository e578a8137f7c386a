// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

/// A TOML text as a flat list, in the order in which it was written. The only place that knows toml++.
namespace flowkin {

struct TomlPlace {
    std::uint32_t line = 0;
    std::uint32_t column = 0;
};

/// A table stands in the list before what it holds.
struct TomlTable {};

/// An array of integers, which may be empty.
using TomlIntegers = std::vector<std::int64_t>;

/// An array of strings, with one at least.
using TomlStrings = std::vector<std::string>;

/// A value that no key of ours takes: another array, a fraction, a date.
struct TomlOther {
    std::string_view type;  ///< with its article
};

using TomlValue =
    std::variant<std::string, std::int64_t, bool, TomlIntegers, TomlStrings, TomlTable, TomlOther>;

struct TomlEntry {
    std::vector<std::string> path;
    TomlValue value;
    TomlPlace key_place;
    TomlPlace value_place;
};

/// Each line at most this long: with it, and with a bound on nested values, no text makes the parser recurse
/// deep.
inline constexpr std::size_t toml_line_bytes_limit = 8192;

/// Words in a path at most; what a table of so long a path holds is not listed.
inline constexpr std::size_t toml_depth_limit = 16;

/// `name` stands before the place in the error line, which has the form `NAME:LINE:COLUMN: what is wrong`.
Result<std::vector<TomlEntry>> parse_toml(std::string_view text, std::string_view name);

/// The type in plain words, with its article: "a string".
std::string_view toml_type(const TomlValue& value);

/// A string as TOML writes it, in one line whatever it holds.
std::string toml_string(std::string_view text);

/// A path as TOML writes a dotted key: words that need it are quoted.
std::string toml_key(const std::vector<std::string>& path);

}  // namespace flowkin
