// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/static_fields.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

namespace flowkin {
namespace {

using Json = nlohmann::ordered_json;

/// Objects and members that are flowkin's own.
constexpr std::array<std::string_view, 7> own_members{"@timestamp", "ecs",         "event",    "network",
                                                      "source",     "destination", "conntrack"};
/// What Filebeat writes at the top of each record itself, and so takes amiss in a line.
constexpr std::array<std::string_view, 7> shipper_members{"type",  "message", "error",    "log",
                                                          "agent", "input",   "@metadata"};

bool contains(const auto& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

tl::unexpected<Error> refuse(const std::string& path, const std::string& why) {
    return fail(Fault::configuration, R"(output.fields: ")" + path + "\" " + why);
}

bool is_name(std::string_view part) {
    return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
    });
}

std::vector<std::string> parts_of(const std::string& path) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    for (std::size_t dot = 0; dot != std::string::npos; begin = dot + 1) {
        dot = path.find('.', begin);
        parts.push_back(path.substr(begin, dot - begin));
    }
    return parts;
}

Result<void> add(Json& line, const std::string& path, const std::string& value) {
    const std::vector<std::string> parts = parts_of(path);
    if (contains(own_members, parts.front()) || path == "host" || path == "host.name") {
        return refuse(path,
                      R"(is flowkin's own; choose another name, for instance "labels.)" + parts.back() + '"');
    }
    if (contains(shipper_members, parts.front())) {
        return refuse(path,
                      "would collide with what log shippers write; choose another name, for instance "
                      R"("labels.)" +
                          parts.back() + '"');
    }
    Json* object = &line;
    for (const std::string& part : parts) {
        if (!is_name(part)) {
            return refuse(path, "is no dotted path of letters, digits, '_' and '-'");
        }
        if (!object->is_object()) {
            return refuse(path, "lies under another field that is a string");
        }
        object = &(*object)[part];
        if (object->is_null()) {
            *object = Json::object();
        }
    }
    if (!object->empty()) {
        return refuse(path, "is set already, by itself or by fields under it");
    }
    *object = value;
    return {};
}

}  // namespace

Result<std::string> static_members(const std::string& host_name, const StaticFields& fields) {
    Json line;
    line["host"]["name"] = host_name;
    for (const auto& [path, value] : fields) {
        if (const auto added = add(line, path, value); !added) {
            return tl::unexpected(added.error());
        }
    }
    const std::string object = line.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string members = ',' + object.substr(1, object.size() - 2);
    if (members.size() > LineEncoder::static_bytes_limit) {
        return fail(Fault::configuration, "output.fields: the host's name and the fields come to " +
                                              std::to_string(members.size()) + " bytes as JSON; at most " +
                                              std::to_string(LineEncoder::static_bytes_limit) +
                                              " fit beside the longest record");
    }
    return members;
}

}  // namespace flowkin
