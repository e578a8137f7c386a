// SPDX-License-Identifier: GPL-2.0-or-later
#include "status_screen.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "quantity_text.hpp"

namespace flowkin {
namespace {

using nlohmann::json;

const json& member(const json& object, const char* name) {
    static const json nothing;
    const auto found = object.is_object() ? object.find(name) : object.end();
    return object.is_object() && found != object.end() ? *found : nothing;
}

std::string text(const json& object, const char* name) {
    const json& value = member(object, name);
    return value.is_string() ? printable(value.get_ref<const std::string&>()) : std::string();
}

std::optional<std::uint64_t> number(const json& object, const char* name) {
    const json& value = member(object, name);
    return value.is_number_unsigned() ? std::optional(value.get<std::uint64_t>()) : std::nullopt;
}

std::string count(const json& object, const char* name) {
    const auto value = number(object, name);
    return value ? std::to_string(*value) : "?";
}

std::string bytes(const json& object, const char* name) {
    const auto value = number(object, name);
    return value ? bytes_text(*value) : "?";
}

/// "2026-11-23 18:48:37" of an RFC 3339 time.
std::string short_time(std::string time) {
    constexpr std::size_t to_the_second = 19;
    time.resize(std::min(time.size(), to_the_second));
    if (time.size() > 10) {
        time[10] = ' ';
    }
    return time;
}

std::string setting(const json& settings, const char* name) {
    const auto value = number(settings, name);
    return std::string(name) + ' ' + (value ? std::to_string(*value) : "unknown");
}

std::string rates_text(const json& rates) {
    if (!number(rates, "lines")) {
        return "not known in the first second";
    }
    return count(rates, "new") + " new, " + count(rates, "update") + " updates, " + count(rates, "destroy") +
           " destroyed, " + count(rates, "packet") + " packets; " + count(rates, "lines") + " lines, " +
           bytes(rates, "bytes_written") + " a second";
}

}  // namespace

std::string status_screen(const json& status) {
    std::string screen;
    const auto row = [&screen](std::string_view name, const std::string& value) {
        constexpr std::size_t width = 10;
        screen += name;
        screen.append(name.size() < width ? width - name.size() : 1, ' ');
        screen += value + '\n';
    };
    const json& totals = member(status, "totals");
    const json& table = member(status, "table");
    const json& kernel_table = member(status, "kernel_table");
    const json& settings = member(status, "settings");
    const json& queue = member(status, "queue");
    const auto uptime = std::chrono::nanoseconds(number(status, "uptime").value_or(0));

    row("flowkin", text(status, "version") + ", run " + text(status, "run"));
    row("state", text(status, "state") + " since " + short_time(text(status, "started")) + " UTC, " +
                     duration_text(uptime));
    row("rates", rates_text(member(status, "rates")));
    row("total", count(totals, "flows_opened") + " flows opened, " + count(totals, "flows_ended") +
                     " ended, " + count(totals, "lines") + " lines, " + bytes(totals, "bytes_written") +
                     " written");
    row("lost", count(totals, "lost_kernel_socket") + " events and " + count(totals, "lost_packets") +
                    " packets at the kernel's sockets, " + count(totals, "lost_sink_lines") + " lines");
    row("buffers", bytes(member(status, "receive_buffer"), "capacity") + " for the kernel's events; " +
                       bytes(queue, "bytes") + " of " + bytes(queue, "capacity") + " of lines wait");
    row("table",
        count(table, "flows") + " of " + count(table, "capacity") + " flows, " + bytes(table, "bytes"));
    row("kernel", text(status, "kernel") + ", " + count(kernel_table, "flows") + " of " +
                      count(kernel_table, "capacity") + " flows");
    row("settings", setting(settings, "acct") + ", " + setting(settings, "timestamp") + ", " +
                        setting(settings, "events"));
    row("output", text(status, "output"));
    std::string_view name = "warnings";
    const json& warnings = member(status, "warnings");
    for (const json& warning : warnings.is_array() ? warnings : json::array()) {
        row(name, warning.is_string() ? printable(warning.get_ref<const std::string&>()) : std::string());
        name = "";
    }
    if (name == "warnings") {
        row(name, "none");
    }
    return screen;
}

}  // namespace flowkin
