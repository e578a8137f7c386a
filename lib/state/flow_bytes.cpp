// SPDX-License-Identifier: GPL-2.0-or-later
#include "state/flow_bytes.hpp"

namespace flowkin {

namespace {

// Which parts follow.
constexpr std::uint8_t with_reply = 1;
constexpr std::uint8_t with_lineage = 2;
constexpr std::uint8_t with_tags = 4;
constexpr std::uint8_t with_marks = 8;

std::int64_t count(WallTime time) {
    return time.time_since_epoch().count();
}
WallTime take_time(ByteReader& in) {
    return WallTime(nanoseconds(in.take<std::int64_t>()));
}

void put_helper(ByteWriter& out, const HelperName& helper) {
    const std::string_view name = helper.view();
    out.put(static_cast<std::uint8_t>(name.size()));
    for (const char byte : name) {
        out.put(byte);
    }
}

bool take_helper(ByteReader& in, HelperName& helper) {
    const auto length = in.take<std::uint8_t>();
    if (length > HelperName::longest) {
        return false;
    }
    std::array<char, HelperName::longest> bytes{};
    for (std::uint8_t i = 0; i < length; ++i) {
        bytes[i] = in.take<char>();
    }
    helper = HelperName({bytes.data(), length});
    return true;
}

void put_uid(ByteWriter& out, FlowUid uid) {
    out.put(uid.run);
    out.put(uid.counter);
}

FlowUid take_uid(ByteReader& in) {
    FlowUid uid;
    uid.run = in.take<std::uint64_t>();
    uid.counter = in.take<std::uint64_t>();
    return uid;
}

bool take_tuple(ByteReader& in, Tuple& tuple) {
    tuple = in.take<Tuple>();
    return tuple.family == Family::ipv4 || tuple.family == Family::ipv6;
}

std::uint8_t flags(const Flow& flow) {
    return static_cast<std::uint8_t>((flow.has_kernel_id ? 1U : 0U) | (flow.has_start ? 2U : 0U) |
                                     (flow.has_counters ? 4U : 0U) | (flow.has_timeout ? 8U : 0U) |
                                     (flow.rejected ? 16U : 0U));
}

bool take_lineage(ByteReader& in, Lineage& lineage) {
    lineage.parent = take_uid(in);
    if (!take_tuple(in, lineage.parent_tuple)) {
        return false;
    }
    lineage.parent_kernel_id = in.take<std::uint32_t>();
    lineage.parent_has_kernel_id = in.take<std::uint8_t>() != 0;
    lineage.root = take_uid(in);
    lineage.depth = in.take<std::uint32_t>();
    return take_helper(in, lineage.parent_helper);
}

bool take_marks(ByteReader& in, MarkHistory& marks) {
    const auto entries = in.take<std::uint8_t>();
    if (entries > MarkHistory::longest) {
        return false;
    }
    for (std::uint8_t i = 0; i < entries; ++i) {
        const auto mark = in.take<Mark>();
        marks.add({mark, take_time(in)});
    }
    return true;
}

}  // namespace

void put_flow(ByteWriter& out, const FlowView& view) {
    const Flow& flow = *view.flow;
    out.put(static_cast<std::uint8_t>(
        (view.reply != nullptr ? with_reply : 0U) | (view.lineage != nullptr ? with_lineage : 0U) |
        (view.tags != nullptr ? with_tags : 0U) | (view.marks != nullptr ? with_marks : 0U)));
    out.put(flow.key.original);
    out.put(flow.key.zone.id);
    out.put(flow.key.zone.direction);
    out.put(flow.mark_origin);
    out.put(flow.protocol_state);
    out.put(flags(flow));
    out.put(flow.gaps.bits);
    out.put(flow.kernel_id);
    put_uid(out, flow.uid);
    out.put(count(flow.started));
    out.put(count(flow.last_seen));
    for (const Counters& counters : {flow.original_counters, flow.reply_counters}) {
        out.put(counters.packets);
        out.put(counters.bytes);
    }
    out.put(flow.mark);
    out.put(flow.mark_previous);
    out.put(flow.mark_changes);
    out.put(flow.status.bits);
    out.put(flow.timeout_s);
    if (view.reply != nullptr) {
        out.put(*view.reply);
    }
    if (view.lineage != nullptr) {
        put_uid(out, view.lineage->parent);
        out.put(view.lineage->parent_tuple);
        out.put(view.lineage->parent_kernel_id);
        out.put(std::uint8_t{view.lineage->parent_has_kernel_id});
        put_uid(out, view.lineage->root);
        out.put(view.lineage->depth);
        put_helper(out, view.lineage->parent_helper);
    }
    if (view.tags != nullptr) {
        put_helper(out, view.tags->helper);
        out.put(view.tags->labels.bytes);
    }
    if (view.marks != nullptr) {
        out.put(view.marks->count);
        for (std::uint8_t i = 0; i < view.marks->count; ++i) {
            out.put(view.marks->entries[i].mark);
            out.put(count(view.marks->entries[i].since));
        }
    }
}

bool take_flow(ByteReader& in, FlowRecord& record) {
    record = {};
    Flow& flow = record.flow;
    const auto parts = in.take<std::uint8_t>();
    if (!take_tuple(in, flow.key.original)) {
        return false;
    }
    flow.key.zone.id = in.take<std::uint16_t>();
    flow.key.zone.direction = in.take<ZoneDirection>();
    flow.mark_origin = in.take<MarkOrigin>();
    flow.protocol_state = in.take<std::uint8_t>();
    const auto set = in.take<std::uint8_t>();
    flow.has_kernel_id = (set & 1U) != 0;
    flow.has_start = (set & 2U) != 0;
    flow.has_counters = (set & 4U) != 0;
    flow.has_timeout = (set & 8U) != 0;
    flow.rejected = (set & 16U) != 0;
    flow.gaps.bits = in.take<std::uint8_t>();
    flow.kernel_id = in.take<std::uint32_t>();
    flow.uid = take_uid(in);
    flow.started = take_time(in);
    flow.last_seen = take_time(in);
    for (Counters* counters : {&flow.original_counters, &flow.reply_counters}) {
        counters->packets = in.take<std::uint64_t>();
        counters->bytes = in.take<std::uint64_t>();
    }
    flow.mark = in.take<Mark>();
    flow.mark_previous = in.take<Mark>();
    flow.mark_changes = in.take<std::uint32_t>();
    flow.status.bits = in.take<std::uint32_t>();
    flow.timeout_s = in.take<std::uint32_t>();
    bool sound = flow.uid && flow.key.zone.direction <= ZoneDirection::reply &&
                 flow.mark_origin <= MarkOrigin::diverged;
    if ((parts & with_reply) != 0) {
        sound = take_tuple(in, record.reply.emplace()) && sound;
    }
    if ((parts & with_lineage) != 0) {
        sound = take_lineage(in, record.lineage.emplace()) && sound;
    }
    if ((parts & with_tags) != 0) {
        sound = take_helper(in, record.tags.emplace().helper) && sound;
        record.tags->labels.bytes = in.take<std::array<std::uint8_t, 16>>();
    }
    if ((parts & with_marks) != 0) {
        sound = take_marks(in, record.marks.emplace()) && sound;
    }
    return sound && !in.ran_short();
}

}  // namespace flowkin
