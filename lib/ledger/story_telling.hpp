// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <iosfwd>
#include <vector>

#include "ledger/story.hpp"
#include "ledger/story_moment.hpp"

namespace flowkin {

/// What was found, and what of it could not be held.
struct StoryAnswer {
    StoryQuestion question;
    std::uint64_t matches = 0;  ///< flows, and tuples of packets of no flow
    bool search_was_full = false;
    std::vector<Story> stories;
    std::uint64_t stories_left_out = 0;
};

/// One object on one line, as docs/story.md describes it.
void write_story_json(const StoryAnswer& answer, std::ostream& out);

/// Tells stories to a person: the flows of a family, then what happened to them, a line each.
class StoryTelling {
  public:
    /// So many lines are told of one story, from its beginning; all are in the JSON.
    static constexpr std::size_t most_lines = 1000;

    StoryTelling(std::ostream& out, bool coloured) : out_(out), coloured_(coloured) {}
    void tell(const StoryAnswer& answer);

  private:
    void tell_flows(const Story& story);
    void tell_flow(const Story& story, const StoryFlow& flow);
    void tell_lines(const Story& story);
    void tell_moment(WallTime at, const StoryMoment& moment);

    std::ostream& out_;
    bool coloured_;
};

}  // namespace flowkin
