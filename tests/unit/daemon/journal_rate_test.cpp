// SPDX-License-Identifier: GPL-2.0-or-later
#include "journal_rate.hpp"

#include <catch2/catch.hpp>

using namespace flowkin;
using namespace std::chrono_literals;

namespace {

struct Journal {
    JournalRate rate;
    std::uint64_t lines = 0;
    JournalRate::Time now{1h};

    int warnings(int seconds, std::uint64_t lines_each, std::optional<std::uint64_t> limit) {
        int count = 0;
        for (int second = 0; second < seconds; ++second) {
            count += rate.look(lines, limit, now) ? 1 : 0;
            now += 1s;
            lines += lines_each;
        }
        return count;
    }
};

}  // namespace

TEST_CASE("at the limit there is no warning, above it there is one, once") {
    Journal journal;
    CHECK(journal.warnings(100, 5000, 5000) == 0);
    CHECK(journal.warnings(100, 5001, 5000) == 1);
    CHECK(journal.warnings(100, 9000, 5000) == 0);
}

TEST_CASE("a burst that the queue takes is no warning") {
    Journal journal;
    for (int burst = 0; burst < 10; ++burst) {
        CHECK(journal.warnings(1, 20'000, 5000) == 0);
        CHECK(journal.warnings(9, 0, 5000) == 0);
    }
}

TEST_CASE("without a limit there is no warning, and one that is set later is looked at") {
    Journal journal;
    CHECK(journal.warnings(20, 50'000, std::nullopt) == 0);
    CHECK(journal.warnings(20, 50'000, 10'000) == 1);
}
