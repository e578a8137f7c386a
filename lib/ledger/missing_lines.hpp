// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

namespace flowkin {

/// Where in the given files a line stands.
struct LogPosition {
    std::size_t file = 0;    ///< index in the order given
    std::uint64_t line = 0;  ///< from 1
    friend bool operator==(const LogPosition&, const LogPosition&) = default;
    friend bool operator<(const LogPosition& a, const LogPosition& b) {
        return std::pair(a.file, a.line) < std::pair(b.file, b.line);
    }
};

/// Sequences of one run that no line bore and no record has declared lost so far.
class MissingLines {
  public:
    struct Gap {
        std::uint64_t last = 0;
        LogPosition position;  ///< of the line after the gap
    };
    using Gaps = std::map<std::uint64_t, Gap>;  ///< by first sequence

    /// [first, last] follows all that is missing so far.
    void add(std::uint64_t first, std::uint64_t last, LogPosition position) {
        gaps_.emplace_hint(gaps_.end(), first, Gap{last, position});
    }

    /// Takes [first, last] out, and says how many of it were missing.
    std::uint64_t remove(std::uint64_t first, std::uint64_t last) {
        std::uint64_t removed = 0;
        auto gap = gaps_.upper_bound(first);
        if (gap != gaps_.begin()) {
            --gap;
        }
        while (gap != gaps_.end() && gap->first <= last) {
            const auto [from, rest] = *gap;
            const std::uint64_t low = std::max(from, first);
            const std::uint64_t high = std::min(rest.last, last);
            if (low > high) {
                ++gap;
                continue;
            }
            removed += high - low + 1;
            gap = gaps_.erase(gap);
            if (from < low) {
                gaps_.emplace_hint(gap, from, Gap{low - 1, rest.position});
            }
            if (high < rest.last) {
                gap = gaps_.emplace_hint(gap, high + 1, rest);
                break;
            }
        }
        return removed;
    }

    const Gaps& gaps() const { return gaps_; }

  private:
    Gaps gaps_;
};

}  // namespace flowkin
