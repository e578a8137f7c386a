// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ledger/story_search.hpp"

namespace flowkin {

/// A line of the log that belongs to a story.
struct StoryLine {
    std::uint64_t place = 0;  ///< in the log: the order of the story
    std::string text;
};

/// What there is to tell of one subject: its flows, parents before children, and its lines in the log's order.
class Story {
  public:
    /// What is held of one story. Beyond, lines are only counted, and the flows still learn from them.
    static constexpr std::size_t most_bytes = std::size_t{8} * 1024 * 1024;
    static constexpr std::size_t most_flows = 1000;

    explicit Story(StorySubject subject);

    const std::vector<StoryFlow>& flows() const { return flows_; }
    const std::vector<StoryLine>& lines() const { return lines_; }
    std::uint64_t lines_left_out() const { return lines_left_out_; }
    bool of_packets_alone() const { return !subject_.root; }
    const StoryFlow* find(const Uid& uid) const;

    /// From the first that is known of it to the last; no end while a flow of it lives.
    WallTime first() const;
    WallTime last() const;
    /// The start of one of its flows was not seen: what was lost just before its first record may be why.
    bool has_unseen_start() const;

  private:
    friend class StoryGatherer;
    StoryFlow* place_of(const Uid& uid, std::optional<Uid> parent);
    void learn(const RecordFields& record, const Uid& uid);
    bool claims_packet(const RecordFields& record) const;
    void keep(std::uint64_t place, std::string_view line);

    StorySubject subject_;
    std::vector<StoryFlow> flows_;
    std::unordered_map<Uid, std::size_t, UidHash> places_;
    std::unordered_set<Uid, UidHash> told_;  ///< event.id: a line that was delivered twice is told once
    std::vector<StoryLine> lines_;
    std::size_t bytes_ = 0;
    std::uint64_t lines_left_out_ = 0;
};

/// The second walk over a log: gathers the lines of some stories, and what was lost or paused meanwhile.
class StoryGatherer {
  public:
    explicit StoryGatherer(const std::vector<StorySubject>& subjects);
    void feed(std::string_view line);
    /// The stories, losses and pauses in their places.
    std::vector<Story> finish();

  private:
    /// A loss, or flowkin's own start or stop.
    struct Surrounding {
        StoryLine line;
        std::string host;
        bool loss = false;
        WallTime since{};
        WallTime until{};
    };

    void take_surrounding(std::string_view line);
    void take_line_of(std::size_t story_place, std::string_view line);
    void remember_tuples(std::size_t story, const RecordFields& record);
    void take_packet_line(std::string_view line);
    void add_surroundings(Story& story) const;

    std::vector<Story> stories_;
    std::unordered_map<Uid, std::size_t, UidHash> members_;  ///< of the families, as far as they are met
    std::unordered_multimap<std::string, std::size_t> tuples_;
    std::vector<Surrounding> surroundings_;
    std::size_t surrounding_bytes_ = 0;
    std::uint64_t place_ = 0;
};

}  // namespace flowkin
