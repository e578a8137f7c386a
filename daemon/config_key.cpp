// SPDX-License-Identifier: GPL-2.0-or-later
#include "config_key.hpp"

#include <chrono>
#include <utility>
#include <vector>

#include "config_value.hpp"
#include "ignore_entry.hpp"

namespace flowkin {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kib = 1ULL << 10U;
constexpr std::uint64_t mib = 1ULL << 20U;
constexpr std::uint64_t gib = 1ULL << 30U;

constexpr WordValue<Config::Destination, 2> destinations{
    {{{"stdout", Config::Destination::standard_output}, {"file", Config::Destination::file}}}};

constexpr WordValue<Updates, 3> update_choices{
    {{{"none", Updates::none}, {"significant", Updates::significant}, {"all", Updates::all}}}};

constexpr WordValue<Config::LogLevel, 5> log_levels{{{{"trace", Config::LogLevel::trace},
                                                      {"debug", Config::LogLevel::debug},
                                                      {"info", Config::LogLevel::info},
                                                      {"warning", Config::LogLevel::warning},
                                                      {"error", Config::LogLevel::error}}}};

/// [output.fields], printed as an inline table. Each name is one quoted word: then no field can stand in the
/// way of another that begins with its name. A table changes nothing by itself: its fields are entries of
/// their own, and an override adds to those of the file.
struct FieldsValue {
    Wrong read(const TomlValue& value, const StaticFields& /*fields*/) const {
        return std::holds_alternative<TomlTable>(value) ? std::nullopt : wrong_type(value);
    }

    std::string write(const StaticFields& fields) const {
        if (fields.empty()) {
            return "{}";
        }
        std::string table;
        for (const auto& [path, text] : fields) {
            table += (table.empty() ? "{ " : ", ") + toml_string(path) + " = " + toml_string(text);
        }
        return table + " }";
    }

    std::string allowed() const { return "a table of strings"; }
};

template <class Section, class Variable, class Value>
ConfigKey key(std::string_view name, Section Config::*section, Variable Section::*member, Value value,
              ConfigKey::Applies applies) {
    return {name, applies,
            [=](Config& config, const TomlValue& given) -> std::optional<std::string> {
                Wrong wrong = value.read(given, config.*section.*member);
                return wrong ? Wrong(*wrong + "; allowed is " + value.allowed()) : std::nullopt;
            },
            [=](const Config& config) { return value.write(config.*section.*member); },
            [=](const Config& from, Config& to) { to.*section.*member = from.*section.*member; }};
}

std::vector<ConfigKey> make_keys() {
    using C = Config;
    using Conntrack = Config::Conntrack;
    using Packets = Config::Packets;
    using Filter = Config::Filter;
    using Table = Config::Table;
    using Output = Config::Output;
    using State = Config::State;
    using Metrics = Config::Metrics;
    using Control = Config::Control;
    using Log = Config::Log;
    constexpr auto running = ConfigKey::Applies::while_running;
    constexpr auto restart = ConfigKey::Applies::after_restart;
    const OrOff<DurationValue> interval{{10s}};

    return {
        key("conntrack.receive_buffer", &C::conntrack, &Conntrack::receive_buffer_bytes,
            SizeValue{64 * kib, 2 * gib}, restart),
        key("conntrack.netns", &C::conntrack, &Conntrack::netns, NetnsValue{}, restart),
        key("conntrack.reconcile_interval", &C::conntrack, &Conntrack::reconcile_interval, interval, running),
        key("conntrack.stall_after", &C::conntrack, &Conntrack::stall_after, OrOff<DurationValue>{{1s}},
            running),
        key("conntrack.no_enobufs", &C::conntrack, &Conntrack::no_enobufs, SwitchValue{}, restart),
        key("conntrack.reliable_destroy", &C::conntrack, &Conntrack::reliable_destroy, SwitchValue{},
            restart),
        key("conntrack.reliable_destroy_limit", &C::conntrack, &Conntrack::reliable_destroy_limit_percent,
            IntegerValue{10, 95}, running),

        key("packets.groups", &C::packets, &Packets::groups, GroupsValue{}, restart),

        key("filter.ignore", &C::filter, &Filter::ignore, IgnoreValue{}, restart),

        key("table.capacity", &C::table, &Table::capacity, IntegerValue{0, 64 * mib}, restart),

        key("output.destination", &C::output, &Output::destination, destinations, restart),
        key("output.path", &C::output, &Output::path, PathValue{false}, restart),
        key("output.updates", &C::output, &Output::updates, update_choices, running),
        key("output.active_interval", &C::output, &Output::active_interval, interval, running),
        key("output.stats_interval", &C::output, &Output::stats_interval, interval, running),
        key("output.rotate_size", &C::output, &Output::rotate_bytes, OrOff<SizeValue>{{1 * mib, 1024 * gib}},
            running),
        key("output.rotate_keep", &C::output, &Output::rotate_keep, IntegerValue{1, 10'000}, running),
        key("output.queue", &C::output, &Output::queue_bytes, SizeValue{1 * mib, 4 * gib}, restart),
        key("output.journal_rate", &C::output, &Output::journal_rate, OrOff<IntegerValue>{{1, 1'000'000}},
            running),
        key(fields_key, &C::output, &Output::fields, FieldsValue{}, running),

        key("state.path", &C::state, &State::path, PathValue{true}, restart),
        key("state.interval", &C::state, &State::interval, DurationValue{1s}, running),

        key("metrics.listen", &C::metrics, &Metrics::listen, OrOff<ListenValue>{}, restart),

        key("control.socket", &C::control, &Control::socket, OrOff<PathValue>{{true}}, restart),

        key("log.level", &C::log, &Log::level, log_levels, running),
    };
}

}  // namespace

std::span<const ConfigKey> config_keys() {
    static const std::vector<ConfigKey> keys = make_keys();
    return keys;
}

std::optional<std::string> add_field(Config& config, std::string name, const TomlValue& value) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) {
        return *wrong_type(value) + "; allowed is a string";
    }
    if (holds_control_character(name) || holds_control_character(*text)) {
        return "holds control characters; allowed is plain text";
    }
    if (name.empty() || name.front() == '.' || name.back() == '.' || name.find("..") != std::string::npos) {
        return "has an empty word in its name; allowed are words joined by dots";
    }
    std::size_t bytes = name.size() + text->size();
    for (const auto& [other_name, other_text] : config.output.fields) {
        bytes += other_name == name ? 0 : other_name.size() + other_text.size();
    }
    if (bytes > LineEncoder::static_bytes_limit) {
        return "is more than a line has room for; allowed are " +
               std::to_string(LineEncoder::static_bytes_limit) + " bytes for all fields together";
    }
    config.output.fields.insert_or_assign(std::move(name), *text);
    return std::nullopt;
}

}  // namespace flowkin
