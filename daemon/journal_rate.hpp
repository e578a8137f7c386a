// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "flow/event.hpp"

namespace flowkin {

/// Whether more lines go to the journal than it is good for. journald stores some 50,000 a second at best, halts for
/// a second now and then, and what its rate limit drops its writer never learns. Said once.
class JournalRate {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /// Long enough that a burst, which the queue takes, is no warning.
    static constexpr std::chrono::seconds window{5};

    /// Call each second or so, with the lines made so far. `limit` is in lines a second; none: never.
    std::optional<MonitorWarning> look(std::uint64_t lines, std::optional<std::uint64_t> limit, Time now) {
        if (!window_begun_) {
            begin(lines, now);
            return std::nullopt;
        }
        const auto elapsed = now - *window_begun_;
        if (said_ || elapsed < window) {
            return std::nullopt;
        }
        const std::chrono::duration<double> elapsed_seconds = elapsed;
        const auto rate =
            static_cast<std::uint64_t>(static_cast<double>(lines - lines_before_) / elapsed_seconds.count());
        begin(lines, now);
        if (!limit || rate <= *limit) {
            return std::nullopt;
        }
        said_ = true;
        return MonitorWarning{
            "journal-rate",
            std::to_string(rate) +
                " lines a second go to the journal, which may drop some without telling: set [output] "
                "destination = \"file\" (journal_rate, " +
                std::to_string(*limit) + ", is where this warning begins)"};
    }

  private:
    void begin(std::uint64_t lines, Time now) {
        lines_before_ = lines;
        window_begun_ = now;
    }

    std::optional<Time> window_begun_;
    std::uint64_t lines_before_ = 0;
    bool said_ = false;
};

}  // namespace flowkin
