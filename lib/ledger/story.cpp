// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace flowkin {

namespace {

bool contains(std::string_view line, std::string_view text) {
    return ::memmem(line.data(), line.size(), text.data(), text.size()) != nullptr;
}

/// Calls `found` with each string that stands under the key "community_id", at whatever depth. What it says
/// is only a hint: the line is not checked.
template <class Found>
void for_each_community_id(std::string_view line, Found&& found) {
    constexpr std::string_view key = "\"community_id\"";
    for (std::size_t at = line.find(key); at != std::string_view::npos; at = line.find(key)) {
        line.remove_prefix(at + key.size());
        const std::size_t open = line.find_first_not_of(": \t");
        if (open == std::string_view::npos || line[open] != '"') {
            continue;
        }
        const std::size_t close = line.find('"', open + 1);
        if (close == std::string_view::npos) {
            return;
        }
        found(line.substr(open + 1, close - open - 1));
    }
}

}  // namespace

Story::Story(StorySubject subject) : subject_(std::move(subject)) {
    if (subject_.root) {
        place_of(*subject_.root, std::nullopt);
        return;
    }
    StoryFlow& flow = flows_.emplace_back();
    flow.number = "1";
    flow.asked_for = true;
    flow.community_id = subject_.community_id;
}

const StoryFlow* Story::find(const Uid& uid) const {
    const auto found = places_.find(uid);
    return found == places_.end() ? nullptr : &flows_[found->second];
}

WallTime Story::first() const {
    WallTime first = WallTime::max();
    for (const StoryFlow& flow : flows_) {
        if (flow.seen) {
            first = std::min(first, flow.life.earliest());
        }
    }
    return first;
}

WallTime Story::last() const {
    WallTime last{};
    for (const StoryFlow& flow : flows_) {
        if (flow.seen) {
            last = std::max(last, of_packets_alone() ? flow.life.last : flow.life.latest());
        }
    }
    return last;
}

bool Story::has_unseen_start() const {
    return std::any_of(flows_.begin(), flows_.end(),
                       [](const StoryFlow& flow) { return flow.seen && flow.uid && !flow.life.start; });
}

/// The flow's place in the family, made where it has none yet; none where the family is full.
StoryFlow* Story::place_of(const Uid& uid, std::optional<Uid> parent) {
    if (const auto found = places_.find(uid); found != places_.end()) {
        return &flows_[found->second];
    }
    if (flows_.size() >= most_flows) {
        return nullptr;
    }
    std::string number = "1";
    if (uid != subject_.root) {
        // A parent whose own records are not in these files hangs below the root.
        StoryFlow* above = parent && parent != uid ? place_of(*parent, subject_.root) : nullptr;
        above = above != nullptr ? above : &flows_.front();
        number = above->number + '.' + std::to_string(++above->children);
    }
    places_.emplace(uid, flows_.size());
    StoryFlow& flow = flows_.emplace_back();
    flow.uid = uid;
    flow.parent = parent;
    flow.number = std::move(number);
    const auto& asked = subject_.asked_for;
    flow.asked_for = std::find(asked.begin(), asked.end(), uid) != asked.end();
    return &flow;
}

void Story::learn(const RecordFields& record, const Uid& uid) {
    StoryFlow* const flow = place_of(uid, record.uid("conntrack.parent.uid"));
    if (flow == nullptr) {
        return;
    }
    if (record.text("event.dataset") == "flowkin.flow") {
        flow->learn(record);
    } else {
        flow->learn_packet(record);
    }
}

/// A packet that names no flow: of the tuple, and of the time, of one that is here.
bool Story::claims_packet(const RecordFields& record) const {
    const auto at = record.time("@timestamp");
    if (!at) {
        return false;
    }
    const std::string_view tuple = packet_tuple(record);
    if (!subject_.root) {
        return tuple == subject_.community_id && *at >= subject_.first && *at <= subject_.last;
    }
    const auto id = record.number("conntrack.id");
    return std::any_of(flows_.begin(), flows_.end(), [&](const StoryFlow& flow) {
        return (flow.community_id == tuple || flow.reply_community_id == tuple) && flow.seen &&
               (!id || !flow.kernel_id || id == flow.kernel_id) &&
               *at >= flow.life.earliest() - StorySearch::near_a_life &&
               (!flow.life.ended || *at <= flow.life.last + StorySearch::near_a_life);
    });
}

void Story::keep(std::uint64_t place, std::string_view line) {
    if (bytes_ + line.size() > most_bytes) {
        ++lines_left_out_;
        return;
    }
    bytes_ += line.size();
    lines_.push_back({place, std::string(line)});
}

StoryGatherer::StoryGatherer(const std::vector<StorySubject>& subjects) {
    for (const StorySubject& subject : subjects) {
        if (subject.root) {
            members_.emplace(*subject.root, stories_.size());
        } else {
            tuples_.emplace(subject.community_id, stories_.size());
        }
        stories_.emplace_back(subject);
    }
}

void StoryGatherer::feed(std::string_view line) {
    ++place_;
    LogRecord record;
    if (!read_record(line, record)) {
        return;
    }
    if (record.action == LogAction::events_lost || record.action == LogAction::monitor_start ||
        record.action == LogAction::monitor_stop) {
        take_surrounding(line);
        return;
    }
    for (const auto& uid : {record.root, record.uid, record.parent}) {
        if (!uid) {
            continue;
        }
        if (const auto member = members_.find(*uid); member != members_.end()) {
            take_line_of(member->second, line);
            return;
        }
    }
    if (contains(line, "\"packet-")) {
        take_packet_line(line);
    }
}

void StoryGatherer::take_line_of(std::size_t story_place, std::string_view line) {
    Story& story = stories_[story_place];
    const auto record = RecordFields::parse(line);
    const auto id = record ? record->uid("event.id") : std::nullopt;
    if (!record || (id && !story.told_.insert(*id).second)) {
        return;
    }
    if (const auto uid = record->uid("conntrack.uid")) {
        story.learn(*record, *uid);
        if (story.find(*uid) != nullptr) {
            members_.emplace(*uid, story_place);
        }
        remember_tuples(story_place, *record);
    } else if (const auto parent = record->uid("conntrack.parent.uid")) {
        story.place_of(*parent, record->uid("conntrack.lineage.root"));
    }
    story.keep(place_, line);
}

void StoryGatherer::remember_tuples(std::size_t story, const RecordFields& record) {
    if (record.text("event.dataset") != "flowkin.flow") {
        return;
    }
    for (const char* path : {"network.community_id", "conntrack.reply.community_id"}) {
        const std::string tuple(record.text(path));
        const auto [begin, end] = tuples_.equal_range(tuple);
        if (!tuple.empty() &&
            std::none_of(begin, end, [story](const auto& known) { return known.second == story; })) {
            tuples_.emplace(tuple, story);
        }
    }
}

/// A packet whose record names no flow, but the tuple of one.
void StoryGatherer::take_packet_line(std::string_view line) {
    bool candidate = false;
    for_each_community_id(line, [&](std::string_view tuple) {
        candidate |= tuples_.find(std::string(tuple)) != tuples_.end();
    });
    const auto record = candidate ? RecordFields::parse(line) : std::nullopt;
    if (!record || record->has("conntrack.uid")) {
        return;
    }
    const auto owner = std::find_if(stories_.begin(), stories_.end(),
                                    [&](const Story& story) { return story.claims_packet(*record); });
    if (owner == stories_.end()) {
        return;
    }
    if (const auto id = record->uid("event.id"); id && !owner->told_.insert(*id).second) {
        return;
    }
    if (owner->of_packets_alone()) {
        owner->flows_.front().learn_packet(*record);
    }
    owner->keep(place_, line);
}

void StoryGatherer::take_surrounding(std::string_view line) {
    if (surrounding_bytes_ + line.size() > Story::most_bytes) {
        return;
    }
    const auto record = RecordFields::parse(line);
    const auto at = record ? record->time("@timestamp") : std::nullopt;
    if (!at) {
        return;
    }
    surrounding_bytes_ += line.size();
    surroundings_.push_back({{place_, std::string(line)},
                             std::string(record->text("host.name")),
                             record->action() == "events-lost",
                             record->time("conntrack.loss.since").value_or(*at),
                             record->time("conntrack.loss.until").value_or(*at)});
}

void StoryGatherer::add_surroundings(Story& story) const {
    const WallTime first = story.first();
    const WallTime last = story.last();
    const std::string& host = story.flows_.front().host;
    const Surrounding* before = nullptr;
    for (const Surrounding& surrounding : surroundings_) {
        if (!host.empty() && !surrounding.host.empty() && host != surrounding.host) {
            continue;
        }
        if (surrounding.since <= last && surrounding.until >= first) {
            story.lines_.push_back(surrounding.line);
        } else if (surrounding.loss && surrounding.until < first) {
            before = &surrounding;
        }
    }
    if (before != nullptr && story.has_unseen_start()) {
        story.lines_.push_back(before->line);
    }
    std::sort(story.lines_.begin(), story.lines_.end(),
              [](const StoryLine& a, const StoryLine& b) { return a.place < b.place; });
}

std::vector<Story> StoryGatherer::finish() {
    for (Story& story : stories_) {
        add_surroundings(story);
    }
    return std::move(stories_);
}

}  // namespace flowkin
