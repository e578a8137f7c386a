// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story_moment.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>

namespace flowkin {

namespace {

using Facts = std::vector<std::string>;

std::string joined(const std::vector<std::string>& words, std::string_view between) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? std::string_view() : between);
        text += word;
    }
    return text;
}

std::string hexadecimal(std::uint64_t value) {
    std::array<char, 16> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return "0x" + std::string(digits.data(), written.ptr);
}

void add(Facts& facts, std::string fact) {
    if (!fact.empty()) {
        facts.push_back(std::move(fact));
    }
}

std::string count_text(std::uint64_t count, std::string_view noun) {
    return std::to_string(count) + ' ' + std::string(noun) + (count == 1 ? "" : "s");
}

std::string number_of(const Story& story, const std::optional<Uid>& uid) {
    const StoryFlow* const flow = uid ? story.find(*uid) : nullptr;
    return flow != nullptr ? flow->number : std::string();
}

/// "#1", or what else is known of the parent.
std::string parent_name(const RecordFields& record, const Story& story) {
    const std::string number = number_of(story, record.uid("conntrack.parent.uid"));
    return number.empty() ? "its parent" : '#' + number;
}

void add_translation(const RecordFields& record, Facts& facts) {
    if (const LogEnd nat = end_of(record, "source.nat"); nat.known()) {
        facts.push_back("as " + nat.text());
    }
    if (const LogEnd nat = end_of(record, "destination.nat"); nat.known()) {
        facts.push_back("sent on to " + nat.text());
    }
}

void add_mark(const RecordFields& record, const Story& story, Facts& facts) {
    add(facts, mark_text(record.number("conntrack.mark"), record.text("conntrack.mark_origin"),
                         parent_name(record, story)));
}

bool has_gap(const RecordFields& record, std::string_view gap) {
    const auto gaps = record.list("conntrack.gaps");
    return std::find(gaps.begin(), gaps.end(), gap) != gaps.end();
}

StoryMoment beginning(const RecordFields& record, const Story& story) {
    StoryMoment moment{MomentKind::beginning, {}, "begins", {}};
    if (record.action() == "flow-seen") {
        moment.word = "was there";
        const auto start = record.time("event.start");
        add(moment.facts, start ? "since " + date_text(*start) + ' ' + clock_text(*start)
                          : has_gap(record, "start-unseen") ? "its start was not seen"
                                                            : "");
    }
    add_translation(record, moment.facts);
    if (const auto helper = record.text("conntrack.helper"); !helper.empty()) {
        moment.facts.push_back("helper " + std::string(helper));
    }
    if (record.has("conntrack.parent.tuple")) {
        moment.facts.emplace_back("child of a flow that was not seen");
    }
    add_mark(record, story, moment.facts);
    return moment;
}

std::string status_text(const RecordFields& record) {
    const auto status = record.list("conntrack.status");
    for (const auto& [name, said] : {std::pair("assured", "assured"), std::pair("seen_reply", "answered")}) {
        if (std::find(status.begin(), status.end(), name) != status.end()) {
            return said;
        }
    }
    return joined(status, " ");
}

std::optional<StoryMoment> update(const RecordFields& record) {
    StoryMoment moment{MomentKind::change, {}, "changes", {}};
    for (const std::string& changed : record.list("conntrack.changed")) {
        if (changed == "status") {
            add(moment.facts, status_text(record));
        } else if (changed.ends_with(".state")) {
            add(moment.facts, std::string(record.text("conntrack." + changed)));
        } else if (changed == "labels") {
            const auto labels = record.list("conntrack.labels");
            moment.facts.push_back(labels.empty() ? "no label any more" : "labels " + joined(labels, ", "));
        } else if (changed == "helper") {
            moment.facts.push_back("helper " + std::string(record.text("conntrack.helper")));
        } else if (changed == "reply") {
            add_translation(record, moment.facts);
        }
    }
    return moment.facts.empty() ? std::nullopt : std::optional(moment);
}

StoryMoment mark_change(const RecordFields& record, const Story& story) {
    StoryMoment moment{MomentKind::mark, {}, "new mark", {}};
    const auto before = record.number("conntrack.mark_previous");
    const auto now = record.number("conntrack.mark");
    if (before && now) {
        moment.facts.push_back(hexadecimal(*before) + " → " + hexadecimal(*now));
    }
    const auto origin = record.text("conntrack.mark_origin");
    add(moment.facts, origin == "diverged" ? "it has diverged from " + parent_name(record, story)
                      : origin == "rule"   ? "set by a rule or a tool"
                                           : std::string(origin));
    return moment;
}

/// What the reason means, where the word alone does not say it.
std::string reason_text(const RecordFields& record) {
    const std::string reason(record.text("event.reason"));
    if (reason == "vanished") {
        const auto earliest = record.list_time("conntrack.end_window", 0);
        const auto latest = record.list_time("conntrack.end_window", 1);
        return reason + ": its end was not seen" +
               (earliest && latest
                    ? "; it lies between " + clock_text(*earliest) + " and " + clock_text(*latest)
                    : "");
    }
    if (reason == "replaced") {
        return reason + ": the same tuple began anew, its end was not seen";
    }
    if (reason == "unreplied") {
        return reason + ": it timed out without an answer";
    }
    const auto tool = record.number("conntrack.deleted_by");
    return reason == "deleted" && tool ? "deleted by a tool, netlink port " + std::to_string(*tool) : reason;
}

StoryMoment end(const RecordFields& record, const Story& story) {
    StoryMoment moment{MomentKind::end, {}, "ends", {}};
    add(moment.facts, reason_text(record));
    if (record.text("event.outcome") == "failure") {
        moment.facts.emplace_back("refused by a rule");
    }
    StoryFlow flow;
    flow.learn(record);
    add(moment.facts, traffic_text(flow));
    if (const auto duration = record.number("event.duration"); duration && *duration <= INT64_MAX) {
        moment.facts.push_back(duration_text(nanoseconds(*duration)));
    }
    add_mark(record, story, moment.facts);
    return moment;
}

std::optional<StoryMoment> expectation(const RecordFields& record, const Story& story) {
    const std::string_view action = record.action();
    StoryMoment moment{MomentKind::kin, number_of(story, record.uid("conntrack.parent.uid")), {}, {}};
    StoryFlow awaited;
    awaited.learn(record);
    moment.facts.push_back(awaited.text());
    if (action == "expectation-created") {
        moment.word = "expects";
        if (const auto timeout = record.number("conntrack.expectation.timeout")) {
            moment.facts.push_back("for " + std::to_string(*timeout) + " s");
        }
    } else if (action == "expectation-fulfilled") {
        moment.word = "has a child";
        const std::string child = number_of(story, record.uid("conntrack.expectation.child"));
        moment.facts.front() = child.empty() ? moment.facts.front() : '#' + child;
    } else if (action == "expectation-ended") {
        moment.word = "in vain";
        moment.facts.emplace_back("the child never came");
    } else {
        return std::nullopt;
    }
    return moment;
}

/// What the packet is: "a RST", "ICMP 3/3".
std::string packet_kind(const RecordFields& record) {
    const auto type = record.number("conntrack.packet.icmp.type");
    const auto code = record.number("conntrack.packet.icmp.code");
    if (type && code) {
        return "ICMP " + std::to_string(*type) + '/' + std::to_string(*code);
    }
    const auto flags = record.list("conntrack.packet.tcp_flags");
    const bool reset = std::find(flags.begin(), flags.end(), "rst") != flags.end();
    return reset ? "a RST" : joined(flags, " ");
}

std::string place_text(const RecordFields& record, const std::string& path) {
    std::string text(record.text(path + ".hook"));
    for (const char* way : {"in", "out"}) {
        if (const auto name = record.text(path + '.' + way); !name.empty()) {
            text += (text.empty() ? "" : " ") + std::string(way) + ' ' + std::string(name);
        }
    }
    return text;
}

std::optional<StoryMoment> packet(const RecordFields& record, const Story& story) {
    const std::string_view action = record.action();
    const std::string flow = story.of_packets_alone() ? "1" : number_of(story, record.uid("conntrack.uid"));
    StoryMoment moment{MomentKind::packet, flow, {}, {}};
    const std::string source = end_of(record, "source").text();
    if (action == "packet-rejected") {
        moment.word = "refused";
        moment.facts.push_back("by a rule here, with " + packet_kind(record) + " from " + source);
    } else if (action == "packet-reset") {
        moment.word = "reset";
        moment.facts.push_back("by " + source);
    } else if (action == "packet-error") {
        moment.word = "error";
        moment.facts.push_back(packet_kind(record) + " from " + source);
    } else {
        moment.word = action == "packet-invalid" ? "invalid" : "packet";
        StoryFlow itself;
        itself.learn(record);
        moment.facts.push_back(itself.text());
        add(moment.facts, packet_kind(record));
    }
    add(moment.facts, place_text(record, "conntrack.packet"));
    if (record.has("conntrack.packet.refused")) {
        const std::string at = place_text(record, "conntrack.packet.refused");
        add(moment.facts, at.empty() ? "" : "what it refused: " + at);
    }
    if (record.truth("conntrack.confirmed") == false) {
        moment.facts.emplace_back("at the first packet");
    }
    if (const auto prefix = record.text("conntrack.packet.prefix"); !prefix.empty()) {
        moment.facts.push_back("rule \"" + std::string(prefix) + '"');
    }
    return moment;
}

StoryMoment loss(const RecordFields& record) {
    StoryMoment moment{MomentKind::loss, {}, "lost", {}};
    const auto count = record.number("conntrack.loss.count");
    const bool of_packets = record.text("conntrack.loss.source") == "packets";
    const std::string_view where = record.text("conntrack.loss.where");
    const std::string_view noun = where.starts_with("sink") ? "line" : of_packets ? "logged packet" : "event";
    moment.facts.push_back(
        (count ? count_text(*count, noun) : "an unknown number of " + std::string(noun) + 's') + " at " +
        std::string(where.empty() ? "?" : where));
    const auto since = record.time("conntrack.loss.since");
    const auto until = record.time("conntrack.loss.until");
    if (since && until) {
        moment.facts.push_back(clock_text(*since) + " to " + clock_text(*until));
    }
    return moment;
}

StoryMoment pause(const RecordFields& record) {
    StoryMoment moment{MomentKind::pause, {}, "flowkin", {}};
    if (record.action() == "monitor-stop") {
        moment.facts.emplace_back("stops");
        return moment;
    }
    const std::string_view state = record.text("conntrack.monitor.state");
    moment.facts.emplace_back("starts");
    add(moment.facts, state == "fresh"      ? "it knows none of the flows before"
                      : state == "restored" ? "with the flows of the run before"
                                            : std::string(state));
    return moment;
}

}  // namespace

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array<const char*, 5> units{"B", "kB", "MB", "GB", "TB"};
    if (bytes < 1000) {
        return std::to_string(bytes) + " B";
    }
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 999.95 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    std::array<char, 48> text{};
    const int length = std::snprintf(text.data(), text.size(), "%.1f %s", value, units[unit]);
    return {text.data(), static_cast<std::size_t>(std::max(length, 0))};
}

std::string traffic_text(const StoryFlow& flow) {
    const auto way = [](std::optional<std::uint64_t> packets, std::optional<std::uint64_t> bytes,
                        std::string_view direction) {
        std::string text = packets ? count_text(*packets, "packet") : "";
        if (bytes) {
            text += (text.empty() ? "" : ", ") + bytes_text(*bytes);
        }
        return text.empty() ? text : text + ' ' + std::string(direction);
    };
    const std::string out = way(flow.packets_out, flow.bytes_out, "out");
    const std::string back = way(flow.packets_back, flow.bytes_back, "back");
    return out.empty() || back.empty() ? out + back : out + "; " + back;
}

std::string mark_text(std::optional<std::uint64_t> mark, std::string_view origin, std::string_view parent) {
    if (!mark || (*mark == 0 && origin.empty())) {
        return {};
    }
    std::string text = "mark " + hexadecimal(*mark);
    if (origin == "rule") {
        text += ", set by a rule or a tool";
    } else if (origin == "inherited") {
        text += ", inherited from " + std::string(parent);
    } else if (origin == "diverged") {
        text += ", diverged from " + std::string(parent);
    }
    return text;
}

std::optional<StoryMoment> moment_of(const RecordFields& record, const Story& story) {
    const std::string_view action = record.action();
    std::optional<StoryMoment> moment;
    if (action.starts_with("expectation-")) {
        return expectation(record, story);
    }
    if (action.starts_with("packet-")) {
        return packet(record, story);
    }
    if (action == "events-lost") {
        return loss(record);
    }
    if (action == "monitor-start" || action == "monitor-stop") {
        return pause(record);
    }
    if (action == "flow-start" || action == "flow-seen") {
        moment = beginning(record, story);
    } else if (action == "flow-update") {
        moment = update(record);
    } else if (action == "flow-mark-changed") {
        moment = mark_change(record, story);
    } else if (action == "flow-end") {
        moment = end(record, story);
    }
    if (moment) {
        moment->flow = number_of(story, record.uid("conntrack.uid"));
    }
    return moment;
}

}  // namespace flowkin
