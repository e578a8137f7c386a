// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/record_fields.hpp"

#include <string>
#include <utility>

#include "ledger/json_cursor.hpp"
#include "ledger/log_time.hpp"

namespace flowkin {

using nlohmann::json;

std::optional<RecordFields> RecordFields::parse(std::string_view line) {
    // The cursor refuses what is nested without end, before anything recursive meets it.
    JsonCursor cursor(line);
    if (!cursor.skip() || !cursor.at_end()) {
        return std::nullopt;
    }
    json object = json::parse(line, nullptr, false);
    if (!object.is_object()) {
        return std::nullopt;
    }
    return RecordFields(std::move(object));
}

const json* RecordFields::find(std::string_view path) const {
    const json* at = &object_;
    for (;;) {
        const std::size_t dot = path.find('.');
        if (!at->is_object()) {
            return nullptr;
        }
        const auto member = at->find(std::string(path.substr(0, dot)));
        if (member == at->end()) {
            return nullptr;
        }
        at = &*member;
        if (dot == std::string_view::npos) {
            return at;
        }
        path.remove_prefix(dot + 1);
    }
}

std::string_view RecordFields::text(std::string_view path) const {
    const json* const value = find(path);
    return value != nullptr && value->is_string() ? std::string_view(value->get_ref<const std::string&>())
                                                  : std::string_view();
}

std::optional<std::uint64_t> RecordFields::number(std::string_view path) const {
    const json* const value = find(path);
    if (value == nullptr || !value->is_number_unsigned()) {
        return std::nullopt;
    }
    return value->get<std::uint64_t>();
}

std::optional<Uid> RecordFields::uid(std::string_view path) const {
    return parse_uid(text(path));
}

std::optional<WallTime> RecordFields::time(std::string_view path) const {
    return parse_log_time(text(path));
}

std::optional<bool> RecordFields::truth(std::string_view path) const {
    const json* const value = find(path);
    return value != nullptr && value->is_boolean() ? std::optional(value->get<bool>()) : std::nullopt;
}

std::vector<std::string> RecordFields::list(std::string_view path) const {
    std::vector<std::string> words;
    const json* const value = find(path);
    if (value == nullptr || !value->is_array()) {
        return words;
    }
    for (const json& element : *value) {
        if (element.is_string()) {
            words.push_back(element.get<std::string>());
        } else if (element.is_number_unsigned()) {
            words.push_back(std::to_string(element.get<std::uint64_t>()));
        }
    }
    return words;
}

std::optional<WallTime> RecordFields::list_time(std::string_view path, std::size_t place) const {
    const auto times = list(path);
    return place < times.size() ? parse_log_time(times[place]) : std::nullopt;
}

}  // namespace flowkin
