// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story_flow.hpp"

#include <algorithm>
#include <utility>

namespace flowkin {

namespace {

void append_hex16(std::string& text, std::uint64_t value) {
    for (unsigned shift = 64; shift != 0; shift -= 4) {
        text += "0123456789abcdef"[value >> (shift - 4) & 0xfU];
    }
}

void take_text(const RecordFields& record, std::string_view path, std::string& value) {
    if (const std::string_view text = record.text(path); !text.empty()) {
        value = text;
    }
}

void take_number(const RecordFields& record, std::string_view path, std::optional<std::uint64_t>& value) {
    if (const auto number = record.number(path)) {
        value = number;
    }
}

std::string ends_text(const std::string& transport, const LogEnd& source, const LogEnd& destination) {
    return (transport.empty() ? "" : transport + ' ') + (source.known() ? source.text() : "?") + " → " +
           (destination.known() ? destination.text() : "?");
}

}  // namespace

std::string uid_text(const Uid& uid) {
    std::string text;
    append_hex16(text, uid.run);
    append_hex16(text, uid.counter);
    return text;
}

std::string LogEnd::text() const {
    if (!port) {
        return ip;
    }
    const bool version6 = ip.find(':') != std::string::npos;
    return (version6 ? '[' + ip + ']' : ip) + ':' + std::to_string(*port);
}

LogEnd end_of(const RecordFields& record, const std::string& path) {
    return {std::string(record.text(path + ".ip")), record.number(path + ".port")};
}

void FlowLife::learn(const RecordFields& record) {
    const auto at = record.time("@timestamp");
    if (!at) {
        return;
    }
    const bool first_record = first == WallTime{};
    first = first_record ? *at : std::min(first, *at);
    if (const auto known = record.time("event.start")) {
        start = known;
    } else if (record.action() == "flow-start") {
        start = at;
    }
    if (record.action() != "flow-end") {
        last = ended ? last : std::max(last, *at);
        return;
    }
    ended = true;
    // A DESTROY comes up to a minute after what it reports.
    const auto end = record.time("event.end");
    const auto window_end = record.list_time("conntrack.end_window", 1);
    last = end ? *end : window_end ? *window_end : *at;
    first = std::min(first, last);
}

void StoryFlow::learn(const RecordFields& record) {
    seen = true;
    take_number(record, "conntrack.id", kernel_id);
    take_text(record, "host.name", host);
    take_text(record, "network.transport", transport);
    take_text(record, "network.community_id", community_id);
    take_text(record, "conntrack.reply.community_id", reply_community_id);
    take_text(record, "conntrack.helper", helper);
    source = end_of(record, "source");
    destination = end_of(record, "destination");
    source_nat = end_of(record, "source.nat");
    destination_nat = end_of(record, "destination.nat");
    take_number(record, "source.bytes", bytes_out);
    take_number(record, "source.packets", packets_out);
    take_number(record, "destination.bytes", bytes_back);
    take_number(record, "destination.packets", packets_back);
    take_number(record, "conntrack.mark", mark);
    take_text(record, "conntrack.mark_origin", mark_origin);
    take_text(record, "event.reason", reason);
    take_text(record, "event.outcome", outcome);
    if (record.has("conntrack.parent.tuple")) {
        unseen_parent = ends_text(std::string(record.text("conntrack.parent.tuple.transport")),
                                  end_of(record, "conntrack.parent.tuple.source"),
                                  end_of(record, "conntrack.parent.tuple.destination"));
    }
    life.learn(record);
}

void StoryFlow::learn_packet(const RecordFields& record) {
    life.learn(record);
    refused |= record.action() == "packet-rejected" && record.truth("conntrack.confirmed") == false;
    if (seen) {
        return;
    }
    seen = true;
    take_number(record, "conntrack.id", kernel_id);
    take_text(record, "host.name", host);
    take_text(record, "network.community_id", community_id);
    take_text(record, "network.transport", transport);
    const bool about = record.has("conntrack.packet.about");
    const std::string prefix = about ? "conntrack.packet.about." : "";
    source = end_of(record, prefix + "source");
    destination = end_of(record, prefix + "destination");
    take_text(record, "conntrack.packet.about.transport", transport);
    take_text(record, "conntrack.packet.about.community_id", community_id);
    if (!about && record.text("conntrack.packet.direction") == "reply") {
        std::swap(source, destination);
    }
}

std::string StoryFlow::text() const {
    return ends_text(transport, source, destination);
}

}  // namespace flowkin
