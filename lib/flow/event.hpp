// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "flow/flow.hpp"
#include "flow/message.hpp"
#include "flow/packet.hpp"

/// What flowkin says: one event becomes one line (docs/event-format.md). `at` is the line's @timestamp.
namespace flowkin {

enum class FlowAction : std::uint8_t { start, seen, update, mark_changed, active, end };

/// How we know.
enum class Observed : std::uint8_t { event, dump, reconcile };

enum class EndReason : std::uint8_t { tcp_close, tcp_reset, timeout, unreplied, deleted, vanished, replaced };

enum class Outcome : std::uint8_t { unknown, success, failure };

/// What an update changed, in the order in which the line names them.
enum class Change : std::uint8_t { mark, status, protocol_state, labels, helper, timeout, reply };

struct Changes {
    std::uint8_t bits = 0;
    bool has(Change change) const { return (bits >> static_cast<unsigned>(change) & 1U) != 0; }
    bool any() const { return bits != 0; }
    void add(Change change) { bits = static_cast<std::uint8_t>(bits | 1U << static_cast<unsigned>(change)); }
    friend bool operator==(const Changes&, const Changes&) = default;
};

/// What was counted since the flow's last record with counters.
struct CounterDelta {
    Counters original;
    Counters reply;
    nanoseconds interval{};
};

struct TimeWindow {
    WallTime earliest{};
    WallTime latest{};
};

/// How a flow ended.
struct FlowEnd {
    EndReason reason = EndReason::timeout;
    Outcome outcome = Outcome::unknown;
    std::optional<WallTime> ended{};
    std::optional<TimeWindow> window{};         ///< where the moment is not known
    std::optional<std::uint32_t> deleted_by{};  ///< netlink port id of the tool that asked
};

/// Points into the table: it is encoded before the next message is applied.
struct FlowEvent {
    FlowAction action = FlowAction::start;
    Observed observed = Observed::event;
    WallTime at{};
    FlowView view{};
    Changes changed{};                    ///< update, mark_changed
    bool newly_assured = false;           ///< update: the first time the flow is assured
    std::optional<CounterDelta> delta{};  ///< active, end
    FlowEnd end{};                        ///< meaningful where action is end
};

enum class ExpectationAction : std::uint8_t { created, fulfilled, ended };

struct ExpectationEvent {
    ExpectationAction action = ExpectationAction::created;
    WallTime at{};
    const ExpectationMessage* expectation = nullptr;
    Lineage lineage;  ///< of a flow that fulfils it: parent, root, depth
    FlowUid child;    ///< fulfilled: who came
};

enum class PacketAction : std::uint8_t { rejected, error, reset, invalid, logged };

/// As `ct state` matches it.
enum class PacketState : std::uint8_t { new_flow, established, related, invalid, untracked };

enum class PacketDirection : std::uint8_t { original, reply };

/// By what a packet was joined with its flow.
enum class FlowIdSource : std::uint8_t {
    ct,     ///< the kernel's conntrack section
    mark,   ///< `meta mark set ct id`, and the tuple
    tuple,  ///< the tuple alone
};

/// A packet that a rule logged just before another rule refused it.
struct RefusedPacket {
    const PacketMessage* packet = nullptr;
    WallTime at{};
    std::string_view in;
    std::string_view out;
};

struct PacketEvent {
    PacketAction action = PacketAction::logged;
    WallTime at{};
    const PacketMessage* packet = nullptr;
    std::string_view in{};  ///< names of the interfaces; empty: none, or not known
    std::string_view out{};
    std::optional<PacketState> state{};
    std::optional<PacketDirection> direction{};
    FlowUid uid{};  ///< of the flow it belongs to; none: it has no record
    std::optional<KernelFlowId> id{};
    std::optional<FlowIdSource> id_from{};
    Zone zone{};
    std::optional<Mark> mark{};              ///< the flow's
    bool unconfirmed = false;                ///< refused at its first packet: the flow never came to be
    std::optional<RefusedPacket> refused{};  ///< rejected: what was answered, where it was logged too
};

enum class LossPlace : std::uint8_t { kernel_socket, sink_queue, sink_write, decoder };

/// The kernel's sockets that we read.
enum class LossSource : std::uint8_t { conntrack, packets };

struct LossEvent {
    WallTime at{};
    LossPlace place = LossPlace::kernel_socket;
    LossSource source = LossSource::conntrack;
    std::optional<std::uint64_t> count;
    std::optional<std::uint64_t> first_sequence;  ///< sink
    std::optional<std::uint64_t> last_sequence;
    std::optional<WallTime> since;
    std::optional<WallTime> until;
    std::string detail;  ///< decoder: what was wrong; empty: none
};

enum class ReconcileCause : std::uint8_t { start, overrun, timer, request };

struct ResyncCompleted {
    ReconcileCause cause = ReconcileCause::start;
    std::uint64_t dumped = 0;
    std::uint64_t discovered = 0;
    std::uint64_t ended = 0;
    std::uint64_t unchanged = 0;
    nanoseconds duration{};
};

/// Where the table at the start came from.
enum class StartState : std::uint8_t { fresh, restored, inherited_socket };

struct MonitorStart {
    std::string version;
    RunId run = 0;
    std::optional<RunId> previous_run;
    StartState state = StartState::fresh;
    std::string kernel;  ///< uname -r; empty: not known
    std::optional<std::uint32_t> acct;
    std::optional<std::uint32_t> timestamp;
    std::optional<std::uint32_t> events;
    std::optional<std::uint64_t> receive_buffer_bytes;
    std::vector<std::string> ignore;  ///< the flows that are not told of, as the configuration says it
    std::vector<std::string> warnings;
};

struct MonitorReload {
    bool applied = false;
    std::vector<std::string> changed;        ///< keys that now have another value
    std::vector<std::string> needs_restart;  ///< keys whose new value takes a restart
    std::string refused;                     ///< where not applied: why
};

/// Counters by name, as they stand under conntrack.monitor: totals at the stop, or since the last record.
using MonitorCounters = std::vector<std::pair<std::string, std::uint64_t>>;

struct MonitorStop {
    std::string reason;  ///< "SIGTERM", …
    MonitorCounters totals;
};
struct MonitorStats {
    nanoseconds interval{};
    MonitorCounters counters;
};
struct MonitorWarning {
    std::string code;  ///< stable word for a machine, as "table-full"
    std::string text;  ///< plain words, and the command that mends it
};

struct MonitorEvent {
    WallTime at{};
    std::variant<MonitorStart, MonitorReload, MonitorStop, MonitorStats, MonitorWarning, ResyncCompleted>
        what;
};

using Event = std::variant<FlowEvent, ExpectationEvent, PacketEvent, LossEvent, MonitorEvent>;

/// Takes events as they come to be. The event, and what it points to, is good during the call only.
class EventReceiver {
  public:
    EventReceiver() = default;
    EventReceiver(const EventReceiver&) = delete;
    EventReceiver& operator=(const EventReceiver&) = delete;
    virtual void receive(const Event& event) = 0;

  protected:
    ~EventReceiver() = default;
};

}  // namespace flowkin
