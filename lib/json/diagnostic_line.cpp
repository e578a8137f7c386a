// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/diagnostic_line.hpp"

#include <nlohmann/json.hpp>

#include "json/timestamp_text.hpp"

namespace flowkin {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t line_longest = 4095;
constexpr unsigned severity_error = 3;

Json object_of(const Diagnostic& diagnostic, std::string_view host_name) {
    std::string time(TimestampText::length, '\0');
    TimestampText().write(time.data(), diagnostic.at);
    return {{"@timestamp", time},
            {"ecs", {{"version", "8.17.0"}}},
            {"host", {{"name", host_name}}},
            {"event",
             {{"module", "flowkin"},
              {"dataset", "flowkin.diagnostics"},
              {"kind", "event"},
              {"type", Json::array({diagnostic.severity <= severity_error ? "error" : "info"})},
              {"action", "diagnostic"},
              {"severity", diagnostic.severity}}},
            {"conntrack", {{"diagnostic", {{"level", diagnostic.level}, {"text", diagnostic.text}}}}}};
}

}  // namespace

std::string diagnostic_line(const Diagnostic& diagnostic, std::string_view host_name) {
    Diagnostic told = diagnostic;
    while (true) {
        const Json object = object_of(told, host_name);
        std::string line = object.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
        if (line.size() <= line_longest || told.text.empty()) {
            return line;
        }
        told.text = told.text.substr(0, told.text.size() / 2);
    }
}

}  // namespace flowkin
