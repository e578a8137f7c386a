// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace flowkin {

/// A set of numbers that mostly follow one another, kept as ranges: a run's counters in the order in which
/// they are given out take one range, whatever their number, and each hole one more.
class CounterRanges {
  public:
    bool contains(std::uint64_t number) const {
        const auto above = ranges_.upper_bound(number);
        return above != ranges_.begin() && number <= std::prev(above)->second;
    }

    /// False where it was in already.
    bool insert(std::uint64_t number) {
        const auto above = ranges_.upper_bound(number);
        const bool touches_above = above != ranges_.end() && above->first - 1 == number;
        if (above != ranges_.begin()) {
            const auto below = std::prev(above);
            if (number <= below->second) {
                return false;
            }
            if (below->second + 1 == number) {
                below->second = touches_above ? above->second : number;
                if (touches_above) {
                    ranges_.erase(above);
                }
                return true;
            }
        }
        if (touches_above) {
            const std::uint64_t last = above->second;
            ranges_.emplace_hint(ranges_.erase(above), number, last);
        } else {
            ranges_.emplace_hint(above, number, number);
        }
        return true;
    }

    std::size_t ranges() const { return ranges_.size(); }

  private:
    std::map<std::uint64_t, std::uint64_t> ranges_;  ///< first to last; they neither overlap nor touch
};

}  // namespace flowkin
