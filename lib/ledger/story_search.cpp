// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story_search.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace flowkin {

namespace {

bool matches(const AskedEnd& asked, const LogEnd& end) {
    return end.ip == asked.ip && (!asked.port || end.port == asked.port);
}

/// Whether the ends under `prefix`, translated or not, are those that are asked for.
bool matches(const AskedEnds& asked, const RecordFields& record, const std::string& prefix) {
    const auto is_side = [&](const AskedEnd& end, const std::string& side) {
        return matches(end, end_of(record, prefix + side)) ||
               matches(end, end_of(record, prefix + side + ".nat"));
    };
    const bool source = is_side(asked.end, "source");
    const bool destination = is_side(asked.end, "destination");
    if (!asked.peer) {
        return source || destination;
    }
    return (source && is_side(*asked.peer, "destination")) || (destination && is_side(*asked.peer, "source"));
}

bool is_packet(const RecordFields& record) {
    return record.text("event.dataset") == "flowkin.packet";
}

}  // namespace

std::string_view packet_tuple(const RecordFields& record) {
    const std::string_view about = record.text("conntrack.packet.about.community_id");
    return about.empty() ? record.text("network.community_id") : about;
}

void StorySearch::feed(std::string_view line) {
    if (!sieve_.passes(line)) {
        return;
    }
    const auto record = RecordFields::parse(line);
    if (!record || !names(*record)) {
        return;
    }
    if (const auto uid = record->uid("conntrack.uid")) {
        take_flow(*record, *uid);
    } else if (is_packet(*record)) {
        take_packet(*record);
    } else if (const auto* asked = std::get_if<Uid>(&question_.subject)) {
        take_flow(*record, *asked);  // an expectation names its parent, root or child
    }
}

bool StorySearch::names(const RecordFields& record) const {
    if (const auto* uid = std::get_if<Uid>(&question_.subject)) {
        return names_uid(record, *uid);
    }
    const bool flow = record.text("event.dataset") == "flowkin.flow";
    if (!flow && !is_packet(record)) {
        return false;
    }
    if (const auto* id = std::get_if<AskedKernelId>(&question_.subject)) {
        return record.number("conntrack.id") == id->id;
    }
    if (const auto* community = std::get_if<AskedCommunityId>(&question_.subject)) {
        return record.text("network.community_id") == community->text ||
               record.text("conntrack.reply.community_id") == community->text ||
               packet_tuple(record) == community->text;
    }
    const auto& ends = std::get<AskedEnds>(question_.subject);
    return matches(ends, record, "") || matches(ends, record, "conntrack.packet.about.");
}

bool StorySearch::names_uid(const RecordFields& record, const Uid& wanted) const {
    const auto paths = {"conntrack.uid", "conntrack.parent.uid", "conntrack.lineage.root",
                        "conntrack.expectation.child"};
    return std::any_of(paths.begin(), paths.end(),
                       [&](const char* path) { return record.uid(path) == wanted; });
}

void StorySearch::take_flow(const RecordFields& record, const Uid& uid) {
    // A question for a uid is answered by its relatives too, where its own records are not there any more.
    const auto* const asked = std::get_if<Uid>(&question_.subject);
    const Uid& named = asked != nullptr ? *asked : uid;
    const auto found = places_.find(named);
    if (found == places_.end() && is_full()) {
        return;
    }
    const std::size_t place = found == places_.end() ? matches_.size() : found->second;
    const auto root = record.uid("conntrack.lineage.root");
    if (found == places_.end()) {
        places_.emplace(named, place);
        matches_.push_back({named, root.value_or(named), {}, 0});
    }
    Match& match = matches_[place];
    if (root) {
        match.root = *root;
    }
    if (named == uid) {
        match.life.learn(record);
        if (!is_packet(record)) {
            match.tuple_hash = std::hash<std::string_view>()(record.text("network.community_id"));
        }
    }
}

void StorySearch::take_packet(const RecordFields& record) {
    const auto at = record.time("@timestamp");
    const std::string_view tuple = packet_tuple(record);
    if (!at || tuple.empty() || !in_time(*at, *at) || packets_.size() >= most_matches) {
        return;
    }
    const auto found = packets_.find(tuple);
    auto& subjects = found != packets_.end() ? found->second
                                             : packets_.emplace(tuple, std::vector<Packets>()).first->second;
    if (subjects.empty() || *at - subjects.back().last > pause_between_subjects) {
        subjects.push_back({*at, *at, order_++});
    } else {
        subjects.back().first = std::min(subjects.back().first, *at);
        subjects.back().last = std::max(subjects.back().last, *at);
    }
}

bool StorySearch::in_time(WallTime first, WallTime last) const {
    return !question_.time || question_.time->overlaps(first, last);
}

std::vector<StorySubject> StorySearch::subjects() const {
    std::vector<StorySubject> subjects = families();
    const std::vector<StorySubject> others = packets_of_no_flow();
    subjects.insert(subjects.end(), others.begin(), others.end());
    return subjects;
}

std::vector<StorySubject> StorySearch::families() const {
    std::vector<StorySubject> subjects;
    std::unordered_map<Uid, std::size_t, UidHash> families;
    for (const Match& match : matches_) {
        const bool unknown_start = !match.life.start;
        const WallTime earliest = unknown_start && question_.time && !question_.time->every_day
                                      ? WallTime{}
                                      : match.life.earliest();
        const WallTime latest = match.life.ended ? match.life.last
                                : question_.time && question_.time->every_day
                                    ? std::max(last_time_, match.life.last)
                                    : WallTime::max();
        if (!in_time(earliest, latest)) {
            continue;
        }
        const auto [family, is_new] = families.emplace(match.root, subjects.size());
        if (is_new) {
            subjects.push_back({match.root, {}, {}, {}, {}});
        }
        subjects[family->second].asked_for.push_back(match.uid);
    }
    return subjects;
}

std::vector<StorySubject> StorySearch::packets_of_no_flow() const {
    std::unordered_multimap<std::size_t, const Match*> flows;
    for (const Match& match : matches_) {
        flows.emplace(match.tuple_hash, &match);
    }
    const auto claimed = [&](const std::string& community_id, const Packets& packets) {
        const auto [begin, end] = flows.equal_range(std::hash<std::string_view>()(community_id));
        return std::any_of(begin, end, [&](const auto& flow) {
            const FlowLife& life = flow.second->life;
            return packets.last >= life.earliest() - near_a_life &&
                   (!life.ended || packets.first <= life.last + near_a_life);
        });
    };
    std::vector<std::pair<std::uint64_t, StorySubject>> found;
    for (const auto& [community_id, list] : packets_) {
        for (const Packets& packets : list) {
            if (!claimed(community_id, packets)) {
                found.emplace_back(packets.order,
                                   StorySubject{std::nullopt, {}, community_id, packets.first, packets.last});
            }
        }
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<StorySubject> subjects;
    subjects.reserve(found.size());
    for (auto& [order, subject] : found) {
        subjects.push_back(std::move(subject));
    }
    return subjects;
}

}  // namespace flowkin
