// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <deque>
#include <utility>

#include "flow/event.hpp"

namespace flowkin {

/// How fast counters move: a second, over the last ten.
class RateMeter {
  public:
    using Clock = std::chrono::steady_clock;

    /// Once a second. The counters are the same ones, in the same order, each time.
    void note(Clock::time_point now, MonitorCounters totals) {
        samples_.push_back({now, std::move(totals)});
        if (samples_.size() > samples_kept) {
            samples_.pop_front();
        }
    }

    /// Empty in the first second.
    MonitorCounters rates() const {
        MonitorCounters rates;
        if (samples_.size() < 2 || samples_.back().at <= samples_.front().at) {
            return rates;
        }
        const std::chrono::duration<double> time = samples_.back().at - samples_.front().at;
        const MonitorCounters& before = samples_.front().totals;
        const MonitorCounters& after = samples_.back().totals;
        for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
            const auto moved = static_cast<double>(after[i].second - before[i].second);
            rates.emplace_back(after[i].first,
                               static_cast<std::uint64_t>(std::llround(moved / time.count())));
        }
        return rates;
    }

  private:
    static constexpr std::size_t samples_kept = 11;
    struct Sample {
        Clock::time_point at;
        MonitorCounters totals;
    };
    std::deque<Sample> samples_;
};

}  // namespace flowkin
