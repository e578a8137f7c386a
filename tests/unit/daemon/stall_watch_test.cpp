// SPDX-License-Identifier: GPL-2.0-or-later
#include "stall_watch.hpp"

#include <catch2/catch.hpp>

using namespace flowkin;
using namespace std::chrono_literals;

namespace {

constexpr nanoseconds patience = 30s;

/// A kernel whose table and events a test moves by hand, looked at each second.
struct Watched {
    StallWatch watch;
    StallWatch::Look kernel{.flows = 1000, .born = 5000, .died = 4000};
    StallWatch::Time now{1h};

    /// A suspicion within so many looks; each first does `meanwhile`.
    template <class Meanwhile>
    bool suspects_within(int looks, Meanwhile meanwhile) {
        for (int look = 0; look < looks; ++look) {
            meanwhile(kernel);
            now += 1s;
            if (watch.suspects(kernel, patience, now)) {
                return true;
            }
        }
        return false;
    }
    std::optional<MonitorWarning> judge(std::uint64_t discovered, std::optional<std::uint32_t> events = 1) {
        return watch.judge(discovered, kernel.born, events, patience, now);
    }
};

constexpr auto nothing = [](StallWatch::Look&) {};
constexpr auto unheard_birth = [](StallWatch::Look& kernel) { ++kernel.flows; };

}  // namespace

TEST_CASE("an idle kernel is not suspected, however many flows live in it") {
    Watched watched;
    CHECK_FALSE(watched.suspects_within(10'000, nothing));
}

TEST_CASE("a busy kernel that tells is not suspected") {
    Watched watched;
    CHECK_FALSE(watched.suspects_within(10'000, [](StallWatch::Look& kernel) {
        kernel.flows += 7;
        kernel.born += 7;
    }));
}

TEST_CASE("flows that end and are told of are not suspected, nor are those that end unheard") {
    Watched told;
    CHECK_FALSE(told.suspects_within(1000, [](StallWatch::Look& kernel) {
        --kernel.flows;
        ++kernel.died;
    }));
    Watched unheard;
    CHECK_FALSE(unheard.suspects_within(1000, [](StallWatch::Look& kernel) { --kernel.flows; }));
}

TEST_CASE("flows that are born unheard are suspected when patience is over, and not before") {
    Watched watched;
    CHECK_FALSE(watched.suspects_within(30, unheard_birth));
    CHECK(watched.suspects_within(2, unheard_birth));
    CHECK(watched.watch.waits_for_reconcile());
    CHECK_FALSE(watched.suspects_within(1000, unheard_birth));  // once
}

TEST_CASE("a table that stays as large while ends are heard and beginnings are not is suspected") {
    Watched watched;
    REQUIRE(watched.suspects_within(40, [](StallWatch::Look& kernel) { ++kernel.died; }));
    const auto warning = watched.judge(3);
    REQUIRE(warning);
    CHECK(warning->text.find("ct event set") != std::string::npos);
    CHECK(warning->text.find("notifier") == std::string::npos);
}

TEST_CASE("a suspicion is a stall where the reconcile finds flows that nobody told of, and is said once") {
    Watched watched;
    REQUIRE(watched.suspects_within(40, unheard_birth));
    const auto warning = watched.judge(5);
    REQUIRE(warning);
    CHECK(warning->code == "events-stalled");
    for (const char* cause : {"ct event set", "nf_conntrack_events", "notifier"}) {
        CHECK(warning->text.find(cause) != std::string::npos);
    }
    CHECK(watched.watch.stalled());
    CHECK_FALSE(watched.judge(5));
    CHECK_FALSE(watched.suspects_within(1000, unheard_birth));
}

TEST_CASE("events that are switched off are the cause that is named, with the command that mends it") {
    Watched watched;
    REQUIRE(watched.suspects_within(40, unheard_birth));
    const auto warning = watched.judge(5, 0);
    REQUIRE(warning);
    CHECK(warning->text.find("sysctl -w net.netfilter.nf_conntrack_events=1") != std::string::npos);
    CHECK(warning->text.find("notifier") == std::string::npos);
}

TEST_CASE("flows that only wait for a verdict are no stall, and a wrong suspicion is not soon repeated") {
    Watched watched;
    REQUIRE(watched.suspects_within(40, unheard_birth));
    CHECK_FALSE(watched.judge(0));
    CHECK_FALSE(watched.watch.stalled());
    CHECK_FALSE(watched.suspects_within(299, unheard_birth));
    CHECK(watched.suspects_within(2, unheard_birth));
}

TEST_CASE("an event that came while the table was compared takes the suspicion back") {
    Watched watched;
    REQUIRE(watched.suspects_within(40, unheard_birth));
    ++watched.kernel.born;
    CHECK_FALSE(watched.judge(5));
}

TEST_CASE("the end of a stall is said once, when most of what is born is heard again") {
    Watched watched;
    REQUIRE(watched.suspects_within(40, unheard_birth));
    REQUIRE(watched.judge(5));
    CHECK_FALSE(watched.watch.take_end());
    CHECK_FALSE(watched.suspects_within(1, [](StallWatch::Look& kernel) {
        kernel.flows += 10;
        kernel.born += 1;  // one flow that no rule leaves out
    }));
    CHECK(watched.watch.stalled());
    CHECK_FALSE(watched.suspects_within(1, [](StallWatch::Look& kernel) {
        kernel.flows += 10;
        kernel.born += 10;
    }));
    CHECK_FALSE(watched.watch.stalled());
    const auto warning = watched.watch.take_end();
    REQUIRE(warning);
    CHECK(warning->code == "events-resumed");
    CHECK_FALSE(watched.watch.take_end());
}
