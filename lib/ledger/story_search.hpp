// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ledger/story_flow.hpp"
#include "ledger/story_question.hpp"

namespace flowkin {

/// What one story is about: a family of flows, or packets that belong to no flow (refused at the first, say).
struct StorySubject {
    std::optional<Uid> root;     ///< none: packets of no flow
    std::vector<Uid> asked_for;  ///< the flows of the family that the question names
    std::string community_id;    ///< of packets of no flow: their tuple
    WallTime first{};            ///< of packets of no flow: from when …
    WallTime last{};             ///< … to when
};

/// The first walk over a log: which flows does the question name? Lines that cannot be an answer cost a
/// search for bytes.
class StorySearch {
  public:
    /// So many flows are held; a question that names more is not told of the rest.
    static constexpr std::size_t most_matches = 1'000'000;
    /// Packets of one tuple that no flow claims, further apart than this, are two subjects.
    static constexpr nanoseconds pause_between_subjects = std::chrono::minutes(5);
    /// So far from a flow's life a packet of its tuple may lie and still be the flow's.
    static constexpr nanoseconds near_a_life = seconds(10);

    explicit StorySearch(const StoryQuestion& question) : question_(question), sieve_(question) {}

    void feed(std::string_view line);
    /// Bounds what "any day" means for a flow that has not ended.
    void set_last_time(WallTime time) { last_time_ = std::max(last_time_, time); }

    /// In the log's order.
    std::vector<StorySubject> subjects() const;
    bool is_full() const { return matches_.size() >= most_matches; }

  private:
    struct Match {
        Uid uid;
        Uid root;
        FlowLife life;
        std::size_t tuple_hash = 0;
    };
    struct Packets {
        WallTime first{};
        WallTime last{};
        std::uint64_t order = 0;
    };

    bool names(const RecordFields& record) const;
    bool names_uid(const RecordFields& record, const Uid& wanted) const;
    void take_flow(const RecordFields& record, const Uid& uid);
    void take_packet(const RecordFields& record);
    bool in_time(WallTime first, WallTime last) const;
    std::vector<StorySubject> families() const;
    std::vector<StorySubject> packets_of_no_flow() const;

    const StoryQuestion& question_;
    LineSieve sieve_;
    WallTime last_time_{};
    std::vector<Match> matches_;
    std::unordered_map<Uid, std::size_t, UidHash> places_;
    std::map<std::string, std::vector<Packets>, std::less<>> packets_;
    std::uint64_t order_ = 0;
};

/// The Community ID of the flow that a packet's record is about: of an ICMP error, of what it answers.
std::string_view packet_tuple(const RecordFields& record);

}  // namespace flowkin
