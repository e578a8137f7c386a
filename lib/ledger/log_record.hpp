// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace flowkin {

/// A flow's uid as the log writes it: the run that first met the flow, and that run's counter.
struct Uid {
    std::uint64_t run = 0;
    std::uint64_t counter = 0;
    friend bool operator==(const Uid&, const Uid&) = default;
};

/// 32 lower-case hexadecimal digits, the only way the log writes a uid.
std::optional<Uid> parse_uid(std::string_view text);

/// What an action means to the conservation law.
enum class LogAction : std::uint8_t {
    other,  ///< a record that neither opens nor ends: where it bears a uid, that flow must live
    flow_opening,
    flow_end,
    events_lost,
    monitor_start,
    monitor_stop,
};

enum class LogLossPlace : std::uint8_t { kernel_socket, sink_queue, sink_write, decoder, other };
constexpr std::size_t loss_places = 5;
std::string_view name(LogLossPlace place);

/// What the conservation law needs of one line.
struct LogRecord {
    std::optional<std::uint64_t> sequence;
    std::optional<Uid> id;  ///< event.id: run and sequence
    LogAction action = LogAction::other;

    std::optional<Uid> uid;
    std::optional<Uid> parent;
    std::optional<Uid> root;
    std::optional<Uid> child;  ///< of an expectation: the flow that came
    bool table_full = false;   ///< conntrack.gaps holds it: no later record bears this uid

    LogLossPlace loss_place = LogLossPlace::other;
    std::optional<std::uint64_t> loss_count;
    std::optional<std::uint64_t> loss_first_sequence;
    std::optional<std::uint64_t> loss_last_sequence;

    std::optional<std::uint64_t> monitor_run;
    std::optional<std::uint64_t> previous_run;
    bool continues = false;  ///< monitor-start: its table is an earlier run's, not a fresh one
    std::optional<std::uint64_t> flows_live;

    const char* malformed = nullptr;  ///< the first field that is not what it should be, or stands twice
};

/// Reads a line with any order of keys, any spacing and any fields beside ours. False where it is not one
/// JSON object.
bool read_record(std::string_view line, LogRecord& record);

}  // namespace flowkin
