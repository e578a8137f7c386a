// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "flow/event.hpp"
#include "flow/flow_store.hpp"
#include "flow/message.hpp"

/// What a message does to what we know of its flow. An attribute that is absent changes nothing.
namespace flowkin {

/// The first message of a flow: all that it says is taken, and nothing of it is a change.
void take_first(FlowStore& store, FlowStore::Slot slot, const FlowMessage& message, WallTime at);

/// A further message. A change of mark goes into the flow's history, and makes inherited marks of it and of
/// its children diverge.
Changes merge(FlowStore& store, FlowStore::Slot slot, const FlowMessage& message, WallTime at);

void merge_counters(Flow& flow, const FlowMessage& message);

/// When it began is known now.
void set_start(Flow& flow, WallTime start);

/// True unless both name a CTA_ID and the two differ.
bool same_id(const Flow& flow, const FlowMessage& message);

/// What was counted since `before`; all of it where the counters went back, because somebody read and zeroed
/// them.
Counters counted_since(const Counters& before, const Counters& now);

/// Why the flow ended, as its last state and the message's sender show.
EndReason end_reason(const Flow& flow, std::uint32_t port_id);
Outcome outcome(const Flow& flow);

}  // namespace flowkin
