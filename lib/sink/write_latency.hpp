// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace flowkin {

/// How long the writes to a destination took, each with its wait for a slow reader: counted by bounds, so that
/// booking one costs the writer two looks at the clock and no memory.
struct WriteLatency {
    /// Upper bounds, each included.
    static constexpr std::array<std::chrono::microseconds, 11> bounds{
        std::chrono::microseconds{50},       std::chrono::microseconds{100},
        std::chrono::microseconds{250},      std::chrono::microseconds{1'000},
        std::chrono::microseconds{5'000},    std::chrono::microseconds{10'000},
        std::chrono::microseconds{50'000},   std::chrono::microseconds{100'000},
        std::chrono::microseconds{500'000},  std::chrono::microseconds{1'000'000},
        std::chrono::microseconds{5'000'000}};

    std::array<std::uint64_t, bounds.size() + 1>
        writes{};  ///< up to each bound and above the one before; then beyond
    std::chrono::nanoseconds total{};

    void book(std::chrono::nanoseconds took) {
        const auto* const bound = std::lower_bound(bounds.begin(), bounds.end(), took);
        ++writes[static_cast<std::size_t>(bound - bounds.begin())];
        total += took;
    }
};

}  // namespace flowkin
