// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "json/fragments.hpp"
#include "json/words.hpp"

/// The rare records, what flowkin says of itself and of what was lost, made by nlohmann_json.
namespace flowkin {
namespace {

using Json = nlohmann::ordered_json;

std::string time_text(WallTime time) {
    std::string text(TimestampText::length, '\0');
    TimestampText().write(text.data(), time);
    return text;
}

std::string run_text(RunId run) {
    std::string text(16, '\0');
    write_hex(text.data(), run);
    return text;
}

/// As write_number() has it: no integer of a line is beyond int64.
std::int64_t number(std::uint64_t value) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return static_cast<std::int64_t>(std::min(value, most));
}

void set(Json& object, const char* name, const std::optional<std::uint64_t>& value) {
    if (value) {
        object[name] = number(*value);
    }
}
void set(Json& object, const char* name, const std::optional<WallTime>& value) {
    if (value) {
        object[name] = time_text(*value);
    }
}
void set(Json& object, const char* name, const std::string& value) {
    if (!value.empty()) {
        object[name] = value;
    }
}
void set(Json& object, const char* name, const std::vector<std::string>& values) {
    if (!values.empty()) {
        object[name] = values;
    }
}

Json counters_object(const MonitorCounters& counters) {
    Json object = Json::object();
    for (const auto& [name, value] : counters) {
        object[name] = number(value);
    }
    return object;
}

struct MonitorObject {
    LineKind kind;
    const char* name;  ///< under conntrack
    Json members;
};

MonitorObject object_of(const MonitorStart& start) {
    Json object = {{"version", start.version}, {"run", run_text(start.run)}};
    if (start.previous_run) {
        object["previous_run"] = run_text(*start.previous_run);
    }
    object["state"] = start_state_words[start.state];
    set(object, "kernel", start.kernel);
    Json settings = Json::object();
    set(settings, "acct", start.acct);
    set(settings, "timestamp", start.timestamp);
    set(settings, "events", start.events);
    if (!settings.empty()) {
        object["settings"] = std::move(settings);
    }
    set(object, "receive_buffer", start.receive_buffer_bytes);
    set(object, "ignore", start.ignore);
    set(object, "warnings", start.warnings);
    return {LineKind::monitor_start, "monitor", std::move(object)};
}

MonitorObject object_of(const MonitorReload& reload) {
    Json object = {{"applied", reload.applied}};
    set(object, "changed", reload.changed);
    set(object, "needs_restart", reload.needs_restart);
    set(object, "refused", reload.refused);
    return {LineKind::monitor_reload, "monitor", std::move(object)};
}

MonitorObject object_of(const MonitorStop& stop) {
    return {LineKind::monitor_stop,
            "monitor",
            {{"reason", stop.reason}, {"totals", counters_object(stop.totals)}}};
}

MonitorObject object_of(const MonitorStats& stats) {
    Json object = {{"interval", stats.interval.count()}};
    object.update(counters_object(stats.counters));
    return {LineKind::monitor_stats, "monitor", std::move(object)};
}

MonitorObject object_of(const MonitorWarning& warning) {
    return {LineKind::monitor_warning, "monitor", {{"code", warning.code}, {"text", warning.text}}};
}

MonitorObject object_of(const ResyncCompleted& resync) {
    return {LineKind::resync_completed,
            "resync",
            {{"cause", reconcile_cause_words[resync.cause]},
             {"dumped", number(resync.dumped)},
             {"discovered", number(resync.discovered)},
             {"ended", number(resync.ended)},
             {"unchanged", number(resync.unchanged)},
             {"duration", resync.duration.count()}}};
}

/// Cuts all strings to `bytes`, and lists to as many elements as a person reads.
void shorten(Json& value, std::size_t bytes) {
    constexpr std::size_t list_longest = 16;
    if (value.is_string()) {
        auto& text = value.get_ref<std::string&>();
        text.resize(std::min(text.size(), bytes));
    } else if (value.is_structured()) {
        if (value.is_array() && value.size() > list_longest) {
            value.erase(value.begin() + list_longest, value.end());
        }
        for (Json& element : value) {
            shorten(element, bytes);
        }
    }
}

std::string text_of(const Json& object) {
    return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// The object as text of at most `room` bytes. What is too long loses the ends of its strings and lists, then
/// its last members, and says so.
std::string fitted(Json object, std::size_t room) {
    std::string text = text_of(object);
    for (std::size_t bytes = 1024; text.size() > room && bytes >= 8; bytes /= 2) {
        object["shortened"] = true;
        shorten(object, bytes);
        text = text_of(object);
    }
    while (text.size() > room) {
        object.erase(std::prev(object.end(), 2));  // "shortened" stays last
        text = text_of(object);
    }
    return text;
}

void put_rest(LineWriter& line, const Fragments& fragments, const char* name, Json object) {
    fragments.put_origin(line);
    line.put(R"(,"conntrack":{")");
    line.put(std::string_view(name));
    line.put("\":");
    constexpr std::size_t line_longest = 4094;
    line.put(fitted(std::move(object), line_longest - line.length() - 2));
    line.put("}}");
}

}  // namespace

void put_loss_line(LineWriter& line, const Fragments& fragments, const LossEvent& event,
                   std::uint64_t sequence) {
    Json object = {{"where", loss_place_words[event.place]}};
    if (event.source == LossSource::packets) {
        object["source"] = "packets";
    }
    set(object, "count", event.count);
    set(object, "first_sequence", event.first_sequence);
    set(object, "last_sequence", event.last_sequence);
    set(object, "since", event.since);
    set(object, "until", event.until);
    set(object, "detail", event.detail);
    fragments.put_head(line, LineKind::events_lost, event.at, sequence);
    put_rest(line, fragments, "loss", std::move(object));
}

void put_monitor_line(LineWriter& line, const Fragments& fragments, const MonitorEvent& event,
                      std::uint64_t sequence) {
    MonitorObject object = std::visit([](const auto& what) { return object_of(what); }, event.what);
    fragments.put_head(line, object.kind, event.at, sequence);
    put_rest(line, fragments, object.name, std::move(object.members));
}

}  // namespace flowkin
