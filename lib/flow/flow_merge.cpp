// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/flow_merge.hpp"

namespace flowkin {

namespace {

using Node = FlowStore::Node;

bool went_back(const Counters& before, const Counters& now) {
    return now.packets < before.packets || now.bytes < before.bytes;
}

void take_id(Flow& flow, const FlowMessage& message) {
    if (message.id && !flow.has_kernel_id) {
        flow.kernel_id = *message.id;
        flow.has_kernel_id = true;
    }
}

/// The changes of helper and labels, which few flows have.
Changes take_tags(FlowStore& store, Node& node, const FlowMessage& message) {
    Changes changes;
    const Tags* tags = store.find_tags(node);
    const Tags before = tags != nullptr ? *tags : Tags{};
    if (message.helper && !message.helper->empty() && *message.helper != before.helper) {
        store.tags(node).helper = *message.helper;
        changes.add(Change::helper);
    }
    if (message.labels && *message.labels != before.labels) {
        store.tags(node).labels = *message.labels;
        changes.add(Change::labels);
    }
    return changes;
}

void change_mark(FlowStore& store, FlowStore::Slot slot, Mark mark, WallTime at) {
    Node& node = store[slot];
    Flow& flow = node.flow;
    MarkHistory& history = store.marks(node);
    if (history.count == 0) {
        history.add({flow.mark, flow.has_start ? flow.started : flow.last_seen});
    }
    history.add({mark, at});
    flow.mark_previous = flow.mark;
    flow.mark = mark;
    ++flow.mark_changes;
    if (flow.mark_origin == MarkOrigin::inherited) {
        flow.mark_origin = MarkOrigin::diverged;
    } else if (flow.mark_origin == MarkOrigin::none) {
        flow.mark_origin = MarkOrigin::rule;
    }
    store.for_each_child(slot, [](Node& child) {
        if (child.flow.mark_origin == MarkOrigin::inherited) {
            child.flow.mark_origin = MarkOrigin::diverged;
        }
    });
}

void note_timestamps(Flow& flow, const FlowMessage& message) {
    const bool stamped =
        message.kind == FlowMessageKind::dump ? message.start.has_value() : message.event_time.has_value();
    if (stamped) {
        flow.gaps.remove(Gap::timestamps_off);
    } else {
        flow.gaps.add(Gap::timestamps_off);
    }
}

}  // namespace

void take_first(FlowStore& store, FlowStore::Slot slot, const FlowMessage& message, WallTime at) {
    Node& node = store[slot];
    Flow& flow = node.flow;
    flow.last_seen = at;
    take_id(flow, message);
    store.set_reply(node, message.reply);
    flow.mark = message.mark;
    flow.status = message.status.value_or(Status{});
    flow.protocol_state = message.protocol_state.value_or(std::uint8_t{0});
    flow.timeout_s = message.timeout_s.value_or(0);
    flow.has_timeout = message.timeout_s.has_value();
    take_tags(store, node, message);
    merge_counters(flow, message);
    note_timestamps(flow, message);
}

Changes merge(FlowStore& store, FlowStore::Slot slot, const FlowMessage& message, WallTime at) {
    Node& node = store[slot];
    Flow& flow = node.flow;
    flow.last_seen = std::max(flow.last_seen, at);
    take_id(flow, message);
    if (message.start) {
        set_start(flow, *message.start);
    }
    Changes changes = take_tags(store, node, message);
    if (message.status && *message.status != flow.status) {
        flow.status = *message.status;
        changes.add(Change::status);
    }
    if (message.mark != flow.mark) {
        change_mark(store, slot, message.mark, at);
        changes.add(Change::mark);
    }
    if (message.protocol_state && *message.protocol_state != flow.protocol_state) {
        flow.protocol_state = *message.protocol_state;
        changes.add(Change::protocol_state);
    }
    // A DESTROY bears what was left of it, which says nothing of the flow.
    if (message.timeout_s && message.kind != FlowMessageKind::destroy &&
        (!flow.has_timeout || *message.timeout_s != flow.timeout_s)) {
        flow.timeout_s = *message.timeout_s;
        flow.has_timeout = true;
        changes.add(Change::timeout);
    }
    if (store.set_reply(node, message.reply)) {
        changes.add(Change::reply);
    }
    merge_counters(flow, message);
    note_timestamps(flow, message);
    return changes;
}

void merge_counters(Flow& flow, const FlowMessage& message) {
    if (!message.original_counters || !message.reply_counters) {
        return;
    }
    if (flow.has_counters && (went_back(flow.original_counters, *message.original_counters) ||
                              went_back(flow.reply_counters, *message.reply_counters))) {
        flow.gaps.add(Gap::counters_reset);
    }
    flow.original_counters = *message.original_counters;
    flow.reply_counters = *message.reply_counters;
    flow.has_counters = true;
}

void set_start(Flow& flow, WallTime start) {
    flow.started = start;
    flow.has_start = true;
    flow.gaps.remove(Gap::start_unseen);
}

bool same_id(const Flow& flow, const FlowMessage& message) {
    return !flow.has_kernel_id || !message.id || flow.kernel_id == *message.id;
}

Counters counted_since(const Counters& before, const Counters& now) {
    return went_back(before, now) ? now : Counters{now.packets - before.packets, now.bytes - before.bytes};
}

EndReason end_reason(const Flow& flow, std::uint32_t port_id) {
    if (port_id != 0) {
        return EndReason::deleted;
    }
    if (flow.key.original.protocol == Protocol::tcp) {
        switch (flow.tcp_state()) {
            case TcpState::time_wait:
            case TcpState::last_ack:  // both sides have sent their FIN
                return EndReason::tcp_close;
            case TcpState::close:
                return EndReason::tcp_reset;
            default:
                break;
        }
    }
    return flow.status.has(StatusBit::seen_reply) ? EndReason::timeout : EndReason::unreplied;
}

Outcome outcome(const Flow& flow) {
    if (flow.rejected) {
        return Outcome::failure;
    }
    return flow.status.has(StatusBit::seen_reply) ? Outcome::success : Outcome::unknown;
}

}  // namespace flowkin
