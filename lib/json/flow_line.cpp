// SPDX-License-Identifier: GPL-2.0-or-later
#include <cassert>
#include <limits>

#include "json/fragments.hpp"
#include "json/kin.hpp"
#include "json/words.hpp"

/// A flow's record, from the event object to its last member. The order of members is the event format's.
namespace flowkin {
namespace {

LineKind kind_of(FlowAction action) {
    switch (action) {
        case FlowAction::start:
            return LineKind::flow_start;
        case FlowAction::seen:
            return LineKind::flow_seen;
        case FlowAction::update:
            return LineKind::flow_update;
        case FlowAction::mark_changed:
            return LineKind::flow_mark_changed;
        case FlowAction::active:
            return LineKind::flow_active;
        case FlowAction::end:
            break;
    }
    return LineKind::flow_end;
}

bool shows_counters(const FlowEvent& event) {
    return event.view.flow->has_counters &&
           (event.action == FlowAction::end || event.action == FlowAction::active ||
            event.action == FlowAction::seen);
}

bool shows_timeout(const FlowEvent& event) {
    return event.view.flow->has_timeout && event.action != FlowAction::end &&
           event.action != FlowAction::active;
}

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    return a > most - b ? most : a + b;
}

/// A clock that was set back meanwhile leaves no duration.
void put_duration(LineWriter& line, WallTime start, WallTime end) {
    if (end < start) {
        return;
    }
    const auto from = static_cast<std::uint64_t>(start.time_since_epoch().count());
    const auto to = static_cast<std::uint64_t>(end.time_since_epoch().count());
    line.put(R"(,"duration":)");
    line.put_number(to - from);
}

/// The event object's members behind event.action.
void put_event_rest(LineWriter& line, const FlowEvent& event) {
    const Flow& flow = *event.view.flow;
    const bool ends = event.action == FlowAction::end;
    if (ends) {
        line.put(R"(,"reason":)");
        line.put_word(end_reason_words[event.end.reason]);
        line.put(R"(,"outcome":)");
        line.put_word(outcome_words[event.end.outcome]);
    }
    if (flow.has_start && (ends || event.action == FlowAction::seen || event.action == FlowAction::active)) {
        line.put(R"(,"start":)");
        line.put_time(flow.started);
    }
    if (ends && event.end.ended) {
        line.put(R"(,"end":)");
        line.put_time(*event.end.ended);
        if (flow.has_start) {
            put_duration(line, flow.started, *event.end.ended);
        }
    }
}

void put_counters(LineWriter& line, Counters counters) {
    line.put(R"("packets":)");
    line.put_number(counters.packets);
    line.put(R"(,"bytes":)");
    line.put_number(counters.bytes);
}

/// One side of the flow: its end of the original tuple, what it sent, and how the other side sees it where
/// that differs.
struct Side {
    const Address& address;
    std::uint16_t port;
    const Address& translated_address;
    std::uint16_t translated_port;
    Counters sent;
};

void put_side(LineWriter& line, const Side& side, const Tuple& tuple, bool with_counters) {
    const bool with_port = has_ports(tuple.protocol);
    line.put(R"({"ip":)");
    line.put_address(side.address, tuple.family);
    if (with_port) {
        line.put(R"(,"port":)");
        line.put_number(side.port);
    }
    if (with_counters) {
        line.put(',');
        put_counters(line, side.sent);
    }
    if (side.address != side.translated_address || (with_port && side.port != side.translated_port)) {
        line.put(R"(,"nat":{"ip":)");
        line.put_address(side.translated_address, tuple.family);
        if (with_port) {
            line.put(R"(,"port":)");
            line.put_number(side.translated_port);
        }
        line.put('}');
    }
    line.put('}');
}

/// `network`, `source` and `destination`.
void put_ends(LineWriter& line, const Fragments& fragments, const FlowEvent& event) {
    const Flow& flow = *event.view.flow;
    const Tuple& original = flow.key.original;
    const bool counters = shows_counters(event);
    line.put(fragments.network(original.family, original.protocol));
    line.put(R"(,"community_id":)");
    line.put_community_id(original);
    if (counters) {
        line.put(',');
        put_counters(line, {sum(flow.original_counters.packets, flow.reply_counters.packets),
                            sum(flow.original_counters.bytes, flow.reply_counters.bytes)});
    }
    const Tuple* reply = event.view.reply;
    line.put(R"(},"source":)");
    put_side(line,
             {original.source, original.source_port, reply != nullptr ? reply->destination : original.source,
              reply != nullptr ? reply->destination_port : original.source_port, flow.original_counters},
             original, counters);
    line.put(R"(,"destination":)");
    put_side(line,
             {original.destination, original.destination_port,
              reply != nullptr ? reply->source : original.destination,
              reply != nullptr ? reply->source_port : original.destination_port, flow.reply_counters},
             original, counters);
}

void put_mark(LineWriter& line, const FlowEvent& event) {
    const Flow& flow = *event.view.flow;
    line.put(R"(,"mark":)");
    line.put_number(flow.mark);
    if (flow.mark_origin != MarkOrigin::none) {
        line.put(R"(,"mark_origin":)");
        line.put_word(mark_origin_words[flow.mark_origin]);
    }
    if (flow.mark_changes != 0) {
        line.put(R"(,"mark_previous":)");
        line.put_number(flow.mark_previous);
        line.put(R"(,"mark_changes":)");
        line.put_number(flow.mark_changes);
    }
    const MarkHistory* marks = event.view.marks;
    if (event.action == FlowAction::end && marks != nullptr && marks->count != 0) {
        line.put(R"(,"marks":[)");
        for (std::size_t place = 0; place < marks->count; ++place) {
            line.put(R"({"mark":)");
            line.put_number(marks->entries[place].mark);
            line.put(R"(,"since":)");
            line.put_time(marks->entries[place].since);
            line.put("},");
        }
        line.close_after_comma(']');
    }
}

/// A list of the words of those bits that are set and have one; nothing where there is none.
template <std::size_t opening_size, std::size_t count>
void put_bits(LineWriter& line, const char (&opening)[opening_size], std::uint32_t bits,
              const Words<count>& words) {
    bool opened = false;
    for (std::uint32_t rest = bits; rest != 0; rest &= rest - 1) {
        const std::string_view word = words[__builtin_ctz(rest)];
        if (word.empty()) {
            continue;
        }
        if (!opened) {
            line.put(opening);
            opened = true;
        }
        line.put_word(word);
        line.put(',');
    }
    if (opened) {
        line.close_after_comma(']');
    }
}

/// `icmp` or `gre`: what stands in the tuple's places for ports.
void put_protocol_fields(LineWriter& line, const Tuple& tuple) {
    if (is_icmp(tuple.protocol)) {
        const IcmpFields icmp = tuple.icmp();
        line.put(R"(,"icmp":{"type":)");
        line.put_number(icmp.type);
        line.put(R"(,"code":)");
        line.put_number(icmp.code);
        line.put(R"(,"id":)");
        line.put_number(icmp.id);
        line.put('}');
    } else if (tuple.protocol == Protocol::gre) {
        line.put(R"(,"gre":{"source_key":)");
        line.put_number(tuple.source_port);
        line.put(R"(,"destination_key":)");
        line.put_number(tuple.destination_port);
        line.put('}');
    }
}

std::string_view state_word(Protocol protocol, std::uint8_t state) {
    return protocol == Protocol::tcp    ? tcp_state_words[state]
           : protocol == Protocol::sctp ? sctp_state_words[state]
           : protocol == Protocol::dccp ? dccp_state_words[state]
                                        : std::string_view{};
}

void put_state(LineWriter& line, const Flow& flow) {
    const Protocol protocol = flow.key.original.protocol;
    const std::string_view word = state_word(protocol, flow.protocol_state);
    if (word.empty()) {
        return;
    }
    line.put(",\"");
    line.put(transport_word(protocol));
    line.put(R"(":{"state":)");
    line.put_word(word);
    line.put('}');
}

void put_tags(LineWriter& line, const Fragments& fragments, const Tags& tags) {
    if (tags.labels.any()) {
        line.put(R"(,"labels":)");
        fragments.labels.put(line, tags.labels);
    }
    if (!tags.helper.empty()) {
        line.put(R"(,"helper":)");
        line.put_text(tags.helper.view());
    }
}

/// The flow as the other side sees it. ICMP ids and GRE keys that were translated have no place of their own
/// in ECS.
void put_reply(LineWriter& line, const Tuple& original, const Tuple& reply) {
    line.put(R"(,"reply":{"community_id":)");
    line.put_community_id(reply);
    if (is_icmp(original.protocol) && reply.source_port != original.source_port) {
        line.put(R"(,"icmp":{"id":)");
        line.put_number(reply.icmp().id);
        line.put('}');
    }
    if (original.protocol == Protocol::gre &&
        (reply.source_port != original.destination_port || reply.destination_port != original.source_port)) {
        put_protocol_fields(line, reply);
    }
    line.put('}');
}

constexpr auto changed_with_tcp =
    words("mark", "status", "tcp.state", "labels", "helper", "timeout", "reply");
constexpr auto changed_with_sctp =
    words("mark", "status", "sctp.state", "labels", "helper", "timeout", "reply");
constexpr auto changed_with_dccp =
    words("mark", "status", "dccp.state", "labels", "helper", "timeout", "reply");
constexpr auto changed_without_state = words("mark", "status", "", "labels", "helper", "timeout", "reply");

const Words<7>& changed_words(Protocol protocol) {
    return protocol == Protocol::tcp    ? changed_with_tcp
           : protocol == Protocol::sctp ? changed_with_sctp
           : protocol == Protocol::dccp ? changed_with_dccp
                                        : changed_without_state;
}

void put_delta(LineWriter& line, const CounterDelta& delta) {
    line.put(R"(,"delta":{"source":{)");
    put_counters(line, delta.original);
    line.put(R"(},"destination":{)");
    put_counters(line, delta.reply);
    line.put(R"(},"interval":)");
    line.put_signed(delta.interval.count());
    line.put('}');
}

void put_how_it_ended(LineWriter& line, const FlowEnd& end) {
    if (end.window) {
        line.put(R"(,"end_window":[)");
        line.put_time(end.window->earliest);
        line.put(',');
        line.put_time(end.window->latest);
        line.put(']');
    }
    if (end.deleted_by) {
        line.put(R"(,"deleted_by":)");
        line.put_number(*end.deleted_by);
    }
}

/// `conntrack` as far as it is the flow's own: it stays open.
void put_flow_itself(LineWriter& line, const Fragments& fragments, const FlowEvent& event) {
    const Flow& flow = *event.view.flow;
    const Tuple& original = flow.key.original;
    assert(flow.uid);
    line.put(R"(,"conntrack":{"uid":)");
    line.put_uid(flow.uid);
    if (flow.has_kernel_id) {
        line.put(R"(,"id":)");
        line.put_number(flow.kernel_id);
    }
    put_zone(line, flow.key.zone);
    put_mark(line, event);
    put_bits(line, R"(,"status":[)", flow.status.bits, status_words);
    put_protocol_fields(line, original);
    put_state(line, flow);
    if (event.view.tags != nullptr) {
        put_tags(line, fragments, *event.view.tags);
    }
    if (shows_timeout(event)) {
        line.put(R"(,"timeout":)");
        line.put_number(flow.timeout_s);
    }
    if (event.view.lineage != nullptr) {
        put_kin(line, *event.view.lineage, event.view.lineage->parent_tuple);
    }
    if (event.view.reply != nullptr) {
        put_reply(line, original, *event.view.reply);
    }
}

void put_gaps(LineWriter& line, Gaps gaps) {
    put_bits(line, R"(,"gaps":[)", gaps.bits, gap_words);
}

void put_conntrack(LineWriter& line, const Fragments& fragments, const FlowEvent& event) {
    put_flow_itself(line, fragments, event);
    line.put(R"(,"observed":)");
    line.put_word(observed_words[event.observed]);
    put_gaps(line, event.view.flow->gaps);
    if (event.action == FlowAction::update || event.action == FlowAction::mark_changed) {
        put_bits(line, R"(,"changed":[)", event.changed.bits,
                 changed_words(event.view.flow->key.original.protocol));
    }
    if (event.delta && (event.action == FlowAction::active || event.action == FlowAction::end)) {
        put_delta(line, *event.delta);
    }
    if (event.action == FlowAction::end) {
        put_how_it_ended(line, event.end);
    }
    line.put("}}");
}

}  // namespace

void put_flow_line(LineWriter& line, const Fragments& fragments, const FlowEvent& event,
                   std::uint64_t sequence) {
    fragments.put_head(line, kind_of(event.action), event.at, sequence);
    put_event_rest(line, event);
    fragments.put_origin(line);
    put_ends(line, fragments, event);
    put_conntrack(line, fragments, event);
}

void put_listed_flow(LineWriter& line, const Fragments& fragments, const FlowView& view) {
    // Counters, timeout and start are those of a flow that is met in a dump.
    const FlowEvent state{.action = FlowAction::seen, .at = view.flow->last_seen, .view = view};
    line.put(R"({"@timestamp":)");
    line.put_time(state.at);
    if (view.flow->has_start) {
        line.put(R"(,"event":{"start":)");
        line.put_time(view.flow->started);
        line.put('}');
    }
    put_ends(line, fragments, state);
    put_flow_itself(line, fragments, state);
    put_gaps(line, view.flow->gaps);
    line.put("}}");
}

}  // namespace flowkin
