// SPDX-License-Identifier: GPL-2.0-or-later
#include "quantity.hpp"

#include <charconv>
#include <limits>
#include <span>
#include <system_error>

namespace flowkin {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t worth;
};

// The largest unit comes first: it is the one to print with. The last is worth one.
constexpr Unit size_units[] = {{"GiB", 1ULL << 30U}, {"MiB", 1ULL << 20U}, {"KiB", 1ULL << 10U}, {"B", 1}};
constexpr Unit millisecond_units[] = {
    {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};

constexpr std::uint64_t nanoseconds_per_millisecond = 1'000'000;

std::optional<std::uint64_t> parse_quantity(std::string_view text, std::span<const Unit> units,
                                            std::uint64_t most) {
    std::uint64_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    for (const Unit& unit : units) {
        if (text == unit.name && number <= most / unit.worth) {
            return number * unit.worth;
        }
    }
    return std::nullopt;
}

std::string format_quantity(std::uint64_t quantity, std::span<const Unit> units) {
    for (const Unit& unit : units) {
        if (quantity >= unit.worth && quantity % unit.worth == 0) {
            return std::to_string(quantity / unit.worth) + std::string(unit.name);
        }
    }
    return std::to_string(quantity) + std::string(units.back().name);
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
    return parse_quantity(text, size_units, std::numeric_limits<std::uint64_t>::max());
}

std::string format_size(std::uint64_t bytes) {
    return format_quantity(bytes, size_units);
}

std::optional<nanoseconds> parse_duration(std::string_view text) {
    constexpr auto most =
        static_cast<std::uint64_t>(nanoseconds::max().count()) / nanoseconds_per_millisecond;
    const auto milliseconds = parse_quantity(text, millisecond_units, most);
    if (!milliseconds) {
        return std::nullopt;
    }
    return nanoseconds(static_cast<nanoseconds::rep>(*milliseconds * nanoseconds_per_millisecond));
}

std::string format_duration(nanoseconds duration) {
    return format_quantity(static_cast<std::uint64_t>(duration.count()) / nanoseconds_per_millisecond,
                           millisecond_units);
}

}  // namespace flowkin
