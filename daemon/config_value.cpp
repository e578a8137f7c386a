// SPDX-License-Identifier: GPL-2.0-or-later
#include "config_value.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "quantity.hpp"

namespace flowkin {
namespace {

constexpr nanoseconds longest_duration = std::chrono::hours(24 * 365);

Wrong wrong_value(const TomlValue& value, std::string_view what) {
    const auto* text = std::get_if<std::string>(&value);
    const std::string written =
        text != nullptr ? toml_string(*text) : std::to_string(std::get<std::int64_t>(value));
    return written + " is " + std::string(what);
}

}  // namespace

bool holds_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char letter) {
        const auto byte = static_cast<unsigned char>(letter);
        return byte < 0x20 || byte == 0x7f;
    });
}

Wrong SizeValue::read(const TomlValue& value, std::uint64_t& bytes) const {
    std::optional<std::uint64_t> size;
    if (const auto* text = std::get_if<std::string>(&value)) {
        size = parse_size(*text);
    } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
        size = static_cast<std::uint64_t>(std::max<std::int64_t>(*number, 0));
    } else {
        return wrong_type(value);
    }
    if (!size) {
        return wrong_value(value, "not a size");
    }
    if (*size < least || *size > most) {
        return wrong_value(value, *size < least ? "too small" : "too large");
    }
    bytes = *size;
    return std::nullopt;
}

std::string SizeValue::write(std::uint64_t bytes) const {
    return toml_string(format_size(bytes));
}

std::string SizeValue::allowed() const {
    return "a size from " + toml_string(format_size(least)) + " to " + toml_string(format_size(most));
}

Wrong DurationValue::read(const TomlValue& value, nanoseconds& duration) const {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
        return wrong_type(value);
    }
    const auto parsed = parse_duration(*text);
    if (!parsed) {
        return wrong_value(value, "not a duration");
    }
    if (*parsed < least || *parsed > longest_duration) {
        return wrong_value(value, *parsed < least ? "too short" : "too long");
    }
    duration = *parsed;
    return std::nullopt;
}

std::string DurationValue::write(nanoseconds duration) const {
    return toml_string(format_duration(duration));
}

std::string DurationValue::allowed() const {
    return "a duration from " + toml_string(format_duration(least)) + " to " +
           toml_string(format_duration(longest_duration)) + ", in ms, s, m, h or d";
}

Wrong IntegerValue::read(const TomlValue& value, std::uint64_t& number) const {
    const auto* given = std::get_if<std::int64_t>(&value);
    if (given == nullptr) {
        return wrong_type(value);
    }
    if (*given < std::int64_t{least} || *given > std::int64_t{most}) {
        return wrong_value(value, *given < std::int64_t{least} ? "too small" : "too large");
    }
    number = static_cast<std::uint64_t>(*given);
    return std::nullopt;
}

Wrong IntegerValue::read(const TomlValue& value, unsigned& number) const {
    std::uint64_t wide = 0;
    Wrong wrong = read(value, wide);
    if (!wrong) {
        number = static_cast<unsigned>(wide);
    }
    return wrong;
}

std::string IntegerValue::allowed() const {
    return "an integer from " + std::to_string(least) + " to " + std::to_string(most);
}

Wrong GroupsValue::read(const TomlValue& value, std::vector<std::uint16_t>& groups) const {
    const auto* given = std::get_if<TomlIntegers>(&value);
    if (given == nullptr) {
        return wrong_type(value);
    }
    std::vector<std::uint16_t> taken;
    for (const std::int64_t number : *given) {
        if (number < 0 || number > std::numeric_limits<std::uint16_t>::max()) {
            return "holds " + std::to_string(number);
        }
        taken.push_back(static_cast<std::uint16_t>(number));
    }
    std::sort(taken.begin(), taken.end());
    if (const auto twice = std::adjacent_find(taken.begin(), taken.end()); twice != taken.end()) {
        return "holds " + std::to_string(*twice) + " twice";
    }
    if (taken.size() > most) {
        return "holds " + std::to_string(taken.size()) + " groups";
    }
    groups = std::move(taken);
    return std::nullopt;
}

std::string GroupsValue::write(const std::vector<std::uint16_t>& groups) const {
    std::string list;
    for (const std::uint16_t group : groups) {
        list += (list.empty() ? "" : ", ") + std::to_string(group);
    }
    return '[' + list + ']';
}

std::string GroupsValue::allowed() const {
    return "an array of integers from 0 to 65535, each once, " + std::to_string(most) + " at most";
}

Wrong PathValue::read(const TomlValue& value, std::string& path) const {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
        return wrong_type(value);
    }
    if (holds_control_character(*text)) {
        return wrong_value(value, "not a path, it holds control characters");
    }
    if (!(text->empty() && may_be_empty) && !text->starts_with('/')) {
        return wrong_value(value, text->empty() ? "empty" : "a relative path");
    }
    path = *text;
    return std::nullopt;
}

std::string PathValue::allowed() const {
    return may_be_empty ? "an absolute path, or \"\"" : "an absolute path";
}

Wrong NetnsValue::read(const TomlValue& value, std::string& netns) const {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
        return wrong_type(value);
    }
    const bool name = text->find('/') == std::string::npos && *text != "." && *text != "..";
    if ((!name && !text->starts_with('/')) || holds_control_character(*text)) {
        return wrong_value(value, "neither");
    }
    netns = *text;
    return std::nullopt;
}

std::string NetnsValue::allowed() const {
    return "a name of ip-netns(8) or an absolute path, or \"\"";
}

Wrong ListenValue::read(const TomlValue& value, ListenAddress& address) const {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
        return wrong_type(value);
    }
    auto parsed = parse_listen_address(*text);
    if (!parsed) {
        return wrong_value(value, "neither");
    }
    address = std::move(*parsed);
    return std::nullopt;
}

std::string ListenValue::allowed() const {
    return "the absolute path of a unix socket (at most 107 bytes), 127.0.0.1:PORT or [::1]:PORT";
}

}  // namespace flowkin
