// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story_telling.hpp"

#include <algorithm>
#include <ostream>
#include <string>
#include <string_view>

namespace flowkin {

namespace {

constexpr std::string_view dim = "2";
constexpr std::string_view bold = "1";
constexpr std::string_view cyan = "36";

std::string_view colour_of(MomentKind kind) {
    switch (kind) {
        case MomentKind::beginning:
            return "32";  // green
        case MomentKind::end:
            return "31";  // red
        case MomentKind::mark:
            return "33";  // yellow
        case MomentKind::kin:
            return "34";  // blue
        case MomentKind::packet:
            return "35";  // magenta
        case MomentKind::loss:
            return "1;31";
        default:
            return dim;
    }
}

/// Names come from outside, and a terminal obeys control characters (those of C1 too, as UTF-8 has them).
std::string without_controls(std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
        if (byte < 0x20 || byte == 0x7f || c1) {
            clean += '?';
            i += c1 ? 1 : 0;
        } else {
            clean += text[i];
        }
    }
    return clean;
}

std::string paint(bool coloured, std::string_view colour, std::string_view text) {
    const std::string clean = without_controls(text);
    return coloured && !clean.empty() ? "\x1b[" + std::string(colour) + 'm' + clean + "\x1b[0m" : clean;
}

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

std::string moment_text(WallTime time) {
    return date_text(time) + ' ' + clock_text(time);
}

/// "2026-11-23 09:15:07.612004 to 09:20:14.880412"
std::string life_text(const StoryFlow& flow) {
    const FlowLife& life = flow.life;
    std::string text = life.start ? moment_text(*life.start) : "before " + moment_text(life.first);
    if (life.ended) {
        const bool same_day = date_text(life.earliest()) == date_text(life.last);
        text += " to " + (same_day ? clock_text(life.last) : moment_text(life.last));
    } else {
        text += ", no end in these files";
    }
    return text;
}

/// 1, 1.1, 1.1.1, 1.2, 1.10
bool stands_before(const StoryFlow* a, const StoryFlow* b) {
    std::string_view left = a->number;
    std::string_view right = b->number;
    while (!left.empty() && !right.empty()) {
        const std::string_view one = left.substr(0, left.find('.'));
        const std::string_view other = right.substr(0, right.find('.'));
        if (one != other) {
            return one.size() != other.size() ? one.size() < other.size() : one < other;
        }
        left.remove_prefix(std::min(left.size(), one.size() + 1));
        right.remove_prefix(std::min(right.size(), other.size() + 1));
    }
    return left.empty() && !right.empty();
}

}  // namespace

void StoryTelling::tell(const StoryAnswer& answer) {
    const std::string_view noun = answer.matches == 1 ? " match" : " matches";
    out_ << paint(coloured_, bold, answer.question.text()) << ": "
         << (answer.search_was_full ? "at least " : "") << answer.matches << noun;
    if (answer.stories.size() + answer.stories_left_out > 1) {
        out_ << " in " << answer.stories.size() + answer.stories_left_out << " stories";
    }
    if (answer.stories_left_out != 0) {
        out_ << "; the first " << answer.stories.size() << " are told (a port, a peer or --at names fewer)";
    }
    out_ << '\n';
    for (const Story& story : answer.stories) {
        out_ << '\n';
        tell_flows(story);
        out_ << '\n';
        tell_lines(story);
    }
}

void StoryTelling::tell_flows(const Story& story) {
    std::vector<const StoryFlow*> flows;
    for (const StoryFlow& flow : story.flows()) {
        flows.push_back(&flow);
    }
    std::sort(flows.begin(), flows.end(), stands_before);
    for (const StoryFlow* const flow : flows) {
        tell_flow(story, *flow);
    }
}

void StoryTelling::tell_flow(const Story& story, const StoryFlow& flow) {
    constexpr std::string_view indent = "      ";
    out_ << paint(coloured_, cyan, padded('#' + flow.number, indent.size() - 1)) << ' '
         << paint(coloured_, bold, flow.seen ? flow.text() : "a flow that has no record in these files");
    if (flow.source_nat.known()) {
        out_ << paint(coloured_, bold, ", as " + flow.source_nat.text());
    }
    if (flow.destination_nat.known()) {
        out_ << paint(coloured_, bold, ", sent on to " + flow.destination_nat.text());
    }
    out_ << (flow.asked_for ? "  ← asked for" : "") << '\n';
    if (!flow.unseen_parent.empty()) {
        out_ << indent << without_controls("child of " + flow.unseen_parent + ", which was not seen") << '\n';
    }
    if (story.of_packets_alone()) {
        out_ << indent
             << (flow.refused ? "refused at its first packet: no flow came of it"
                              : "packets that belong to no flow")
             << '\n';
    } else if (flow.seen) {
        const std::string reason = flow.reason.empty() ? "" : " · " + flow.reason;
        const std::string traffic = traffic_text(flow);
        out_ << indent
             << without_controls(life_text(flow) + reason + (traffic.empty() ? "" : " · " + traffic)) << '\n';
    }
    std::string names = flow.uid ? "uid " + uid_text(*flow.uid) : "";
    if (flow.kernel_id) {
        names += (names.empty() ? "id " : " · id ") + std::to_string(*flow.kernel_id);
    }
    if (!flow.host.empty()) {
        names += (names.empty() ? "on " : " · on ") + flow.host;
    }
    if (!names.empty()) {
        out_ << indent << paint(coloured_, dim, names) << '\n';
    }
}

void StoryTelling::tell_lines(const Story& story) {
    std::string date;
    std::size_t told = 0;
    std::size_t untold = 0;
    for (const StoryLine& line : story.lines()) {
        const auto record = RecordFields::parse(line.text);
        const auto at = record ? record->time("@timestamp") : std::nullopt;
        const auto moment = at ? moment_of(*record, story) : std::nullopt;
        if (!moment) {
            continue;
        }
        if (told == most_lines) {
            ++untold;
            continue;
        }
        ++told;
        if (date_text(*at) != date) {
            date = date_text(*at);
            out_ << "  " << paint(coloured_, dim, date + " UTC") << '\n';
        }
        tell_moment(*at, *moment);
    }
    if (untold + story.lines_left_out() != 0) {
        out_ << "  … and " << untold + story.lines_left_out() << " more\n";
    }
}

void StoryTelling::tell_moment(WallTime at, const StoryMoment& moment) {
    const std::string label = moment.flow.empty() ? "" : '#' + moment.flow;
    std::string facts;
    for (const std::string& fact : moment.facts) {
        facts += (facts.empty() ? "" : " · ") + fact;
    }
    out_ << "  " << paint(coloured_, dim, clock_text(at)) << "  " << paint(coloured_, cyan, padded(label, 7))
         << ' ' << paint(coloured_, colour_of(moment.kind), padded(moment.word, 11)) << ' '
         << without_controls(facts) << '\n';
}

}  // namespace flowkin
