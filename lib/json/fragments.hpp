// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "flow/event.hpp"
#include "json/line_encoder.hpp"
#include "json/line_writer.hpp"
#include "json/timestamp_text.hpp"

namespace flowkin {

/// The kinds of lines, by what is constant in their `event` object.
enum class LineKind : std::uint8_t {
    flow_start,
    flow_seen,
    flow_update,
    flow_mark_changed,
    flow_active,
    flow_end,
    expectation_created,
    expectation_fulfilled,
    expectation_ended,
    packet_rejected,  // in the order of PacketAction
    packet_error,
    packet_reset,
    packet_invalid,
    packet_logged,
    events_lost,
    resync_completed,
    monitor_start,
    monitor_reload,
    monitor_stop,
    monitor_stats,
    monitor_warning,
};
inline constexpr std::size_t line_kinds = 21;

/// Connlabels as JSON: their names where they have one, else their numbers.
class LabelTexts {
  public:
    /// What a list may come to; all 128 numbers take 403. Where names would make it longer, the later ones
    /// stand as numbers, so no label is ever left out.
    static constexpr std::size_t list_bytes_limit = 416;

    explicit LabelTexts(const std::map<unsigned, std::string>& names);

    /// The list with its brackets.
    void put(LineWriter& line, const Labels& labels) const;

  private:
    static constexpr unsigned bits = 128;
    std::array<std::string, bits> numbers_;  ///< each with a comma behind it
    std::array<std::string, bits> texts_;    ///< the name if there is one
};

/// All of a line that is known before its event, worked out once.
struct Fragments {
    Fragments(const LineEncoderSettings& settings, const std::string& static_members);

    /// From the line's first byte into its `event` object, which stays open. What no other line has comes first:
    /// shippers tell files apart by their first bytes, and no host's name or static field may push it back.
    void put_head(LineWriter& line, LineKind kind, WallTime at, std::uint64_t sequence) const {
        line.put(R"({"@timestamp":)");
        line.put_time(at);
        line.put(event_id);
        line.put_hex(sequence);
        line.put(R"(","sequence":)");
        line.put_number(sequence);
        line.put(kinds[static_cast<std::size_t>(kind)]);
    }

    /// Closes the `event` object; ecs, host and the static fields follow.
    void put_origin(LineWriter& line) const { line.put(origin); }

    /// `,"network":{…` with type, transport and iana_number; the object stays open.
    const std::string& network(Family family, Protocol protocol) const {
        return networks[static_cast<std::size_t>(protocol) + (family == Family::ipv6 ? 256 : 0)];
    }

    std::string event_id;                       ///< from behind @timestamp's value into event.id
    std::array<std::string, line_kinds> kinds;  ///< from behind event.sequence to event.action
    std::string origin;
    std::vector<std::string> networks;
    LabelTexts labels;
    TimestampText timestamps;
};

// One line each, without its newline.
void put_flow_line(LineWriter& line, const Fragments& fragments, const FlowEvent& event,
                   std::uint64_t sequence);
/// A flow of the table as it stands, which is no event.
void put_listed_flow(LineWriter& line, const Fragments& fragments, const FlowView& view);
void put_expectation_line(LineWriter& line, const Fragments& fragments, const ExpectationEvent& event,
                          std::uint64_t sequence);
void put_packet_line(LineWriter& line, const Fragments& fragments, const PacketEvent& event,
                     std::uint64_t sequence);
void put_loss_line(LineWriter& line, const Fragments& fragments, const LossEvent& event,
                   std::uint64_t sequence);
void put_monitor_line(LineWriter& line, const Fragments& fragments, const MonitorEvent& event,
                      std::uint64_t sequence);

}  // namespace flowkin
