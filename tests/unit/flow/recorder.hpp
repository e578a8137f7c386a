// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flow/event.hpp"
#include "flow/flow_table.hpp"

namespace flowkin::test {

inline WallTime at_ms(std::int64_t ms) {
    return WallTime(std::chrono::milliseconds(1'700'000'000'000 + ms));
}

/// A flow event with what it pointed to, kept.
struct Said {
    FlowEvent event;
    Flow flow;
    std::optional<Tuple> reply;
    std::optional<Lineage> lineage;
    std::optional<Tags> tags;
    std::optional<MarkHistory> marks;
};

struct SaidPacket {
    PacketEvent event;
    PacketMessage packet;
    bool has_refused;
};

template <class T>
std::optional<T> copied(const T* from) {
    return from != nullptr ? std::optional<T>(*from) : std::nullopt;
}

/// Keeps all that a table says.
class Recorder final : public EventReceiver {
  public:
    void receive(const Event& event) override {
        if (const auto* flow = std::get_if<FlowEvent>(&event)) {
            flows.push_back({*flow, *flow->view.flow, copied(flow->view.reply), copied(flow->view.lineage),
                             copied(flow->view.tags), copied(flow->view.marks)});
        } else if (const auto* expectation = std::get_if<ExpectationEvent>(&event)) {
            expectations.push_back(*expectation);
        } else if (const auto* packet = std::get_if<PacketEvent>(&event)) {
            packets.push_back({*packet, *packet->packet, packet->refused.has_value()});
        } else if (const auto* monitor = std::get_if<MonitorEvent>(&event)) {
            monitors.push_back(*monitor);
        }
    }

    const Said& last() const { return flows.back(); }

    /// The actions so far in short, as "start update end".
    std::string story() const {
        static constexpr const char* names[] = {"start", "seen", "update", "mark", "active", "end"};
        std::string text;
        for (const Said& said : flows) {
            text +=
                (text.empty() ? "" : " ") + std::string(names[static_cast<std::size_t>(said.event.action)]);
        }
        return text;
    }

    std::vector<Said> flows;
    std::vector<ExpectationEvent> expectations;
    std::vector<SaidPacket> packets;
    std::vector<MonitorEvent> monitors;
};

inline Address ipv4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    Address address;
    address.bytes = {a, b, c, d};
    return address;
}

inline Tuple tcp(std::uint16_t source_port, std::uint16_t destination_port) {
    return {ipv4(10, 1, 0, 2), ipv4(10, 2, 0, 2), source_port, destination_port, Family::ipv4, Protocol::tcp};
}

inline Status status(std::initializer_list<StatusBit> bits) {
    Status made;
    for (StatusBit bit : bits) {
        made.bits |= 1U << static_cast<unsigned>(bit);
    }
    return made;
}

/// A message of a flow that nothing translates.
inline FlowMessage message(FlowMessageKind kind, const Tuple& tuple, KernelFlowId id) {
    FlowMessage made;
    made.kind = kind;
    made.key.original = tuple;
    made.reply = mirror(tuple);
    made.id = id;
    made.status = status({StatusBit::confirmed});
    made.timeout_s = 120;
    return made;
}

inline FlowMessage born(const Tuple& tuple, KernelFlowId id) {
    return message(FlowMessageKind::new_flow, tuple, id);
}
inline FlowMessage updated(const Tuple& tuple, KernelFlowId id) {
    return message(FlowMessageKind::update, tuple, id);
}
inline FlowMessage destroyed(const Tuple& tuple, KernelFlowId id) {
    return message(FlowMessageKind::destroy, tuple, id);
}
inline FlowMessage dumped(const Tuple& tuple, KernelFlowId id) {
    return message(FlowMessageKind::dump, tuple, id);
}

inline FlowMessage with_mark(FlowMessage made, Mark mark) {
    made.mark = mark;
    return made;
}
inline FlowMessage with_master(FlowMessage made, const Tuple& master) {
    made.master = master;
    made.status->bits |= 1U << static_cast<unsigned>(StatusBit::expected);
    return made;
}
inline FlowMessage with_start(FlowMessage made, WallTime start) {
    made.start = start;
    return made;
}

/// A table with its recorder.
struct Fixture {
    explicit Fixture(FlowTableSettings settings = {})
        : table((settings.run = 7, settings.hash_seed = 1, settings), said) {}

    void apply(const FlowMessage& made, std::int64_t ms = 0) { table.apply(made, at_ms(ms)); }
    bool finish(std::int64_t ms) { return table.finish_reconcile(at_ms(ms), 1'000'000); }

    Recorder said;
    FlowTable table;
};

}  // namespace flowkin::test
