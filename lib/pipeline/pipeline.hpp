// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "base/line_batch.hpp"
#include "base/time.hpp"
#include "flow/event.hpp"
#include "flow/flow_table.hpp"
#include "flow/ignored_flows.hpp"
#include "flow/packet_watch.hpp"
#include "json/line_encoder.hpp"
#include "netlink/decode.hpp"
#include "pipeline/look_ahead.hpp"

namespace flowkin {

/// Which updates become lines ([output] updates).
enum class Updates : std::uint8_t { none, significant, all };

struct PipelineSettings {
    FlowTableSettings table;
    Updates updates = Updates::significant;
};

struct PipelineCounters {
    std::uint64_t datagrams = 0;
    std::uint64_t new_messages = 0;
    std::uint64_t update_messages = 0;
    std::uint64_t destroy_messages = 0;
    std::uint64_t dump_messages = 0;
    std::uint64_t expectation_messages = 0;
    std::uint64_t packet_messages = 0;
    std::array<std::uint64_t, decode_fault_kinds> faults{};
    std::uint64_t lines = 0;
};

/// The whole way from a datagram to its lines, without a loop or a clock: the daemon, replay, tests and
/// benchmarks all go it. Lines gather in batch(); whoever drives the pipeline takes them from there.
class Pipeline final : private EventReceiver {
  public:
    Pipeline(PipelineSettings settings, LineEncoder encoder);

    /// What a datagram of the dump socket said beside flows.
    struct DumpProgress {
        bool done = false;
        bool interrupted = false;
        int error = 0;  ///< a positive errno
    };

    /// Decodes, applies and encodes one datagram. A dump's first message begins a reconcile where none runs
    /// (a capture has dumps in it); to end it is the caller's.
    DumpProgress feed(std::span<const std::uint8_t> datagram, WallTime arrival);

    /// A batch of datagrams of the event socket, in their order: the more there are the less each costs.
    void feed(std::span<const std::span<const std::uint8_t>> datagrams, WallTime arrival);

    /// A record that does not come from the kernel: loss, monitor.
    void say(const Event& event) { receive(event); }

    /// A flow of the table as it stands, as a line of the caller's own batch: no record, and not of the log.
    void list(const FlowView& flow, LineBatch& batch) { encoder_.list(flow, batch); }

    /// What is due by time alone: call about once a second. (Messages that come in do it, too.)
    void tick(WallTime now);

    FlowTable& table() { return table_; }
    const FlowTable& table() const { return table_; }
    PacketWatch& packets() { return packets_; }
    const PacketWatch& packets() const { return packets_; }
    LineBatch& batch() { return batch_; }
    const PipelineCounters& counters() const { return counters_; }
    std::uint64_t next_sequence() const { return sequence_ + 1; }

    void set_updates(Updates updates) { updates_ = updates; }
    /// What the kernel says of these flows, their expectations and their packets is passed over, and not
    /// counted.
    void ignore(IgnoredFlows flows) { ignored_ = std::move(flows); }
    void set_encoder(LineEncoder encoder) { encoder_ = std::move(encoder); }

  private:
    void receive(const Event& event) override;
    DumpProgress read(std::span<const std::uint8_t> datagram, WallTime arrival);
    void count(FlowMessageKind kind);
    bool ignores(const Decoded& message) const;

    FlowTable table_;
    LookAhead look_ahead_;
    PacketWatch packets_;
    LineEncoder encoder_;
    Updates updates_;
    IgnoredFlows ignored_;
    LineBatch batch_;
    Decoded decoded_;
    WallTime ticked_{};
    std::uint64_t sequence_ = 0;
    PipelineCounters counters_;
};

}  // namespace flowkin
