// SPDX-License-Identifier: GPL-2.0-or-later
#include "control_answer.hpp"

#include <nlohmann/json.hpp>

#include "json/number_text.hpp"
#include "json/timestamp_text.hpp"
#include "json/words.hpp"

namespace flowkin {
namespace {

using Json = nlohmann::ordered_json;

std::string line(const Json& answer) {
    return answer.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string time_text(WallTime time) {
    std::string text(TimestampText::length, '\0');
    TimestampText().write(text.data(), time);
    return text;
}

std::string hex(std::uint64_t value) {
    std::string text(16, '\0');
    write_hex(text.data(), value);
    return text;
}

Json object_of(const MonitorCounters& counters) {
    Json object = Json::object();
    for (const auto& [name, value] : counters) {
        object[name] = value;
    }
    return object;
}

void set(Json& object, const char* name, const auto& value) {
    if (value) {
        object[name] = *value;
    }
}

Json settings_of(const KernelState& kernel) {
    Json settings = Json::object();
    set(settings, "acct", kernel.acct);
    set(settings, "timestamp", kernel.timestamp);
    set(settings, "events", kernel.events);
    return settings;
}

}  // namespace

std::string answer_done() {
    return line({{"result", "done"}});
}

std::string answer_flows(std::uint64_t listed) {
    return line({{"result", "done"}, {"flows", listed}});
}

std::string answer_family(std::uint64_t listed, FlowUid root) {
    return line({{"result", "done"}, {"flows", listed}, {"root", hex(root.run) + hex(root.counter)}});
}

std::string answer_status(const DaemonStatus& status) {
    Json object = {
        {"version", status.version},
        {"run", hex(status.run)},
        {"state", status.state == DaemonStatus::State::running ? "running" : "reconciling"},
        {"started", time_text(status.started)},
        {"uptime", status.uptime.count()},
        {"kernel", status.kernel.release},
        {"settings", settings_of(status.kernel)},
        {"rates", object_of(status.rates)},
        {"totals", object_of(status.totals)},
        {"receive_buffer", {{"capacity", status.receive_buffer_bytes}}},
        {"queue", {{"bytes", status.queued_bytes}, {"capacity", status.queue_bytes}}},
        {"table", {{"flows", status.flows}, {"capacity", status.flows_most}, {"bytes", status.table_bytes}}}};
    Json kernel_table = Json::object();
    set(kernel_table, "flows", status.kernel.flows);
    set(kernel_table, "capacity", status.kernel.flows_max);
    object["kernel_table"] = std::move(kernel_table);
    object["output"] = status.log_path.empty() ? "standard output" : status.log_path;
    object["warnings"] = status.warnings;
    return line({{"result", "done"}, {"status", std::move(object)}});
}

std::string answer_reload(const MonitorReload& reload) {
    if (!reload.applied) {
        return answer_failed(reload.refused);
    }
    return line({{"result", "done"}, {"changed", reload.changed}, {"needs_restart", reload.needs_restart}});
}

std::string answer_reconcile(const ResyncCompleted& resync) {
    return line({{"result", "done"},
                 {"resync",
                  {{"cause", reconcile_cause_words[resync.cause]},
                   {"dumped", resync.dumped},
                   {"discovered", resync.discovered},
                   {"ended", resync.ended},
                   {"unchanged", resync.unchanged},
                   {"duration", resync.duration.count()}}}});
}

std::string answer_refused(std::string_view reason) {
    return line({{"result", "refused"}, {"reason", reason}});
}

std::string answer_busy(std::string_view reason) {
    return line({{"result", "busy"}, {"reason", reason}});
}

std::string answer_invalid(std::string_view reason) {
    return line({{"result", "invalid"}, {"reason", reason}});
}

std::string answer_failed(std::string_view reason) {
    return line({{"result", "failed"}, {"reason", reason}});
}

}  // namespace flowkin
