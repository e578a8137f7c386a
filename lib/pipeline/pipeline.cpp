// SPDX-License-Identifier: GPL-2.0-or-later
#include "pipeline/pipeline.hpp"

#include <algorithm>
#include <utility>

namespace flowkin {

namespace {

constexpr nanoseconds tick_interval = seconds(1);

bool is_written(const FlowEvent& event, Updates updates) {
    switch (event.action) {
        case FlowAction::update:
            return updates == Updates::all || (updates == Updates::significant &&
                                               (event.newly_assured || event.changed.has(Change::labels) ||
                                                event.changed.has(Change::helper)));
        case FlowAction::mark_changed:
            return updates != Updates::none;
        default:
            return true;
    }
}

}  // namespace

Pipeline::Pipeline(PipelineSettings settings, LineEncoder encoder)
    : table_(settings.table, *this),
      look_ahead_(table_),
      packets_(table_, *this),
      encoder_(std::move(encoder)),
      updates_(settings.updates),
      decoded_(Skipped{}) {}

Pipeline::DumpProgress Pipeline::feed(std::span<const std::uint8_t> datagram, WallTime arrival) {
    look_ahead_.begin({&datagram, 1});
    return read(datagram, arrival);
}

void Pipeline::feed(std::span<const std::span<const std::uint8_t>> datagrams, WallTime arrival) {
    look_ahead_.begin(datagrams);
    for (const auto datagram : datagrams) {
        read(datagram, arrival);
    }
}

Pipeline::DumpProgress Pipeline::read(std::span<const std::uint8_t> datagram, WallTime arrival) {
    ++counters_.datagrams;
    DumpProgress progress;
    MessageReader reader(datagram);
    while (reader.next(decoded_)) {
        look_ahead_.step();
        const auto* flow = std::get_if<FlowMessage>(&decoded_);
        if (flow != nullptr && flow->kind == FlowMessageKind::dump && !table_.reconciling()) {
            table_.begin_reconcile(arrival);
        }
        if (!ignored_.empty() && ignores(decoded_)) {
            progress.interrupted = progress.interrupted || reader.dump_interrupted();
            continue;
        }
        if (flow != nullptr) {
            count(flow->kind);
            table_.apply(*flow, arrival);
        } else if (const auto* expectation = std::get_if<ExpectationMessage>(&decoded_)) {
            ++counters_.expectation_messages;
            table_.apply(*expectation, arrival);
        } else if (const auto* packet = std::get_if<PacketMessage>(&decoded_)) {
            ++counters_.packet_messages;
            packets_.apply(*packet, arrival);
        } else if (const auto* fault = std::get_if<DecodeFault>(&decoded_)) {
            ++counters_.faults[static_cast<std::size_t>(*fault)];
        } else if (const auto* done = std::get_if<DumpDone>(&decoded_)) {
            progress.done = true;
            progress.interrupted = progress.interrupted || done->interrupted;
        } else if (const auto* error = std::get_if<NetlinkError>(&decoded_)) {
            progress.error = error->code;
        }
        if (reader.unread_packet()) {
            packets_.pass_over(*reader.unread_packet());
        }
        progress.interrupted = progress.interrupted || reader.dump_interrupted();
    }
    if (arrival - ticked_ >= tick_interval) {
        tick(arrival);
    }
    return progress;
}

bool Pipeline::ignores(const Decoded& message) const {
    if (const auto* flow = std::get_if<FlowMessage>(&message)) {
        return ignored_.matches(flow->key.original);
    }
    if (const auto* expectation = std::get_if<ExpectationMessage>(&message)) {
        // The child that it awaits will not be told of: it would seem to be awaited in vain.
        return ignored_.matches(expectation->master) || ignored_.matches(expectation->expected);
    }
    if (const auto* packet = std::get_if<PacketMessage>(&message)) {
        return packet->flow
                   ? ignored_.matches(packet->flow->key.original)
                   : ignored_.matches_either_way((packet->about ? *packet->about : packet->headers).tuple);
    }
    return false;
}

void Pipeline::tick(WallTime now) {
    ticked_ = now;
    table_.tick(now);
    packets_.tick(now);
}

void Pipeline::count(FlowMessageKind kind) {
    switch (kind) {
        case FlowMessageKind::new_flow:
            ++counters_.new_messages;
            break;
        case FlowMessageKind::update:
            ++counters_.update_messages;
            break;
        case FlowMessageKind::destroy:
            ++counters_.destroy_messages;
            break;
        case FlowMessageKind::dump:
            ++counters_.dump_messages;
            break;
    }
}

void Pipeline::receive(const Event& event) {
    if (const auto* flow = std::get_if<FlowEvent>(&event); flow != nullptr && !is_written(*flow, updates_)) {
        return;
    }
    encoder_.encode(event, ++sequence_, batch_);
    ++counters_.lines;
}

}  // namespace flowkin
