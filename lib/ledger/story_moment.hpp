// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ledger/story.hpp"

namespace flowkin {

/// What kind of thing happened: a terminal gives each its colour.
enum class MomentKind : std::uint8_t { beginning, end, change, mark, kin, packet, loss, pause };

/// One record of a story in a few words. Bytes from outside stand in it as the log has them.
struct StoryMoment {
    MomentKind kind = MomentKind::change;
    std::string flow;  ///< the number of the flow in its family; empty where it is about none
    std::string word;  ///< what happened
    std::vector<std::string> facts;
};

/// None where the record tells nothing new: an interim record, an update of a timeout.
std::optional<StoryMoment> moment_of(const RecordFields& record, const Story& story);

/// "1.0 MB"
std::string bytes_text(std::uint64_t bytes);
/// "594 packets, 30.9 kB out; 705 packets, 1.0 MB back"; empty where the kernel did not count.
std::string traffic_text(const StoryFlow& flow);
/// "mark 0x11, set by a rule or a tool"; empty where there is none.
std::string mark_text(std::optional<std::uint64_t> mark, std::string_view origin, std::string_view parent);

}  // namespace flowkin
