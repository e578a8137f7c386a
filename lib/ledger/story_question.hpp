// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "ledger/log_record.hpp"
#include "ledger/log_time.hpp"

namespace flowkin {

/// One end of a flow as it is asked for: an address as the log writes it, and its port where one was given.
struct AskedEnd {
    std::string ip;
    std::optional<std::uint16_t> port;
};

/// An end, translated or not, on either side; with `peer`, the two ends of one flow.
struct AskedEnds {
    AskedEnd end;
    std::optional<AskedEnd> peer;
};

struct AskedKernelId {
    std::uint32_t id = 0;
};

struct AskedCommunityId {
    std::string text;
};

/// What `--story` is asked.
struct StoryQuestion {
    std::string what;  ///< as it was written
    std::string at;    ///< as it was written; empty where no time was given
    std::variant<Uid, AskedKernelId, AskedCommunityId, AskedEnds> subject;
    std::optional<AskedTime> time;

    /// "10.1.0.2:4242 at 09:16"
    std::string text() const;
};

/// What is neither a uid, a CTA_ID, a Community ID nor an address, or no time: Fault::usage.
Result<StoryQuestion> parse_story_question(std::string_view what, std::optional<std::string_view> at);

/// Texts that stand in each line that may be an answer, the rarest first: looking for bytes is some hundred
/// times cheaper than taking a line apart.
class LineSieve {
  public:
    explicit LineSieve(const StoryQuestion& question);
    bool passes(std::string_view line) const;

  private:
    std::vector<std::string> needles_;
};

}  // namespace flowkin
