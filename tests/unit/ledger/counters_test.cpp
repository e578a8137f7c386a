// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <random>
#include <set>

#include "ledger/counter_ranges.hpp"
#include "ledger/counter_set.hpp"
#include "ledger/missing_lines.hpp"

using flowkin::CounterRanges;
using flowkin::CounterSet;
using flowkin::MissingLines;

TEST_CASE("a counter set holds what a std::set holds") {
    std::mt19937_64 random(3);
    CounterSet ours;
    std::set<std::uint64_t> theirs;
    for (int round = 0; round < 100'000; ++round) {
        const std::uint64_t number = 1 + random() % 3000;
        if (random() % 2 == 0) {
            REQUIRE(ours.insert(number) == theirs.insert(number).second);
        } else {
            REQUIRE(ours.erase(number) == (theirs.erase(number) == 1));
        }
        const std::uint64_t other = 1 + random() % 3000;
        REQUIRE(ours.contains(other) == theirs.contains(other));
        REQUIRE(ours.size() == theirs.size());
    }
    ours.clear();
    CHECK(ours.size() == 0);
    CHECK_FALSE(ours.contains(1));
    CHECK(ours.insert(1));
}

TEST_CASE("counter ranges hold what a std::set holds") {
    std::mt19937_64 random(5);
    CounterRanges ours;
    std::set<std::uint64_t> theirs;
    for (int round = 0; round < 5000; ++round) {
        const std::uint64_t number = random() % 5000;
        REQUIRE(ours.insert(number) == theirs.insert(number).second);
        const std::uint64_t other = random() % 5000;
        REQUIRE(ours.contains(other) == theirs.contains(other));
    }
    std::size_t ranges = 0;
    for (const std::uint64_t number : theirs) {
        ranges += theirs.contains(number - 1) ? 0U : 1U;
    }
    CHECK(ours.ranges() == ranges);
}

TEST_CASE("counters that follow one another take one range") {
    CounterRanges counters;
    for (std::uint64_t number = 1; number <= 100'000; ++number) {
        counters.insert(number);
    }
    CHECK(counters.ranges() == 1);
    counters.insert(std::numeric_limits<std::uint64_t>::max());
    CHECK(counters.contains(std::numeric_limits<std::uint64_t>::max()));
    CHECK(counters.ranges() == 2);
}

TEST_CASE("missing lines that are declared are no longer missing") {
    std::mt19937_64 random(11);
    MissingLines missing;
    std::set<std::uint64_t> left;
    std::uint64_t next = 1;
    for (std::uint64_t gap = 1; gap <= 300; ++gap) {
        const std::uint64_t first = next + 1 + random() % 5;
        const std::uint64_t last = first + random() % 10;
        missing.add(first, last, {0, gap});
        for (std::uint64_t number = first; number <= last; ++number) {
            left.insert(number);
        }
        next = last + 1;
    }
    for (int round = 0; round < 300; ++round) {
        const std::uint64_t first = 1 + random() % next;
        const std::uint64_t last = first + random() % 12;
        const auto from = left.lower_bound(first);
        const auto to = left.upper_bound(last);
        const auto wanted = static_cast<std::uint64_t>(std::distance(from, to));
        left.erase(from, to);
        REQUIRE(missing.remove(first, last) == wanted);
    }
    std::set<std::uint64_t> still;
    for (const auto& [first, gap] : missing.gaps()) {
        REQUIRE(first <= gap.last);
        for (std::uint64_t number = first; number <= gap.last; ++number) {
            still.insert(number);
        }
    }
    CHECK(still == left);
    CHECK_FALSE(still.empty());
}
