// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/log_time.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>

using namespace flowkin;
using namespace std::chrono_literals;

namespace {

WallTime at(std::string_view text) {
    const auto time = parse_log_time(text);
    REQUIRE(time);
    return *time;
}

AskedTime asked(std::string_view text) {
    CAPTURE(std::string(text));
    const auto time = parse_asked_time(text);
    REQUIRE(time);
    return *time;
}

}  // namespace

TEST_CASE("a time of the log is read to the nanosecond and written in UTC") {
    CHECK(at("1970-01-01T00:00:00.000000001Z").time_since_epoch() == 1ns);
    const WallTime time = at("2026-11-23T09:15:07.612004417Z");
    CHECK(date_text(time) == "2026-11-23");
    CHECK(clock_text(time) == "09:15:07.612004");
    CHECK(at("2026-11-23T10:15:07.612004417+01:00") == time);
    CHECK(at("2026-11-22 23:15:07,612004417-10:00") == time);
    CHECK(at("2024-02-29T00:00:00Z") - at("2024-02-28T00:00:00Z") == 24h);
}

TEST_CASE("a time is as long as it is written exactly") {
    CHECK(asked("2026-11-23").length == 24h);
    CHECK(asked("2026-11-23T09:16").length == 1min);
    CHECK(asked("2026-11-23T09:16:05Z").length == 1s);
    CHECK(asked("2026-11-23T09:16:05.25Z").length == 10ms);
    CHECK(asked("2026-11-23T09:16:05.123456789Z").length == 1ns);
    CHECK(asked("09:16").length == 1min);
    CHECK(asked("09:16").every_day);
    CHECK_FALSE(asked("2026-11-23T09:16").every_day);
}

TEST_CASE("what is no time is refused") {
    for (const std::string text :
         {"", "9:16", "09:60", "24:00", "09:16:61", "09:16:05.", "09:16:05.1234567891", "09:16 Z",
          "2026-02-30", "2026-13-01", "1969-12-31", "2300-01-01", "2026-11-23T", "2026-11-23T09:16+25:00",
          "2026-11-23T09:16+0100", "09:16:05Zx", "yesterday", "-2026-11-23", "2026-11-23T09"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_asked_time(text));
    }
    CHECK_FALSE(parse_log_time("09:16:05"));
    CHECK_FALSE(parse_log_time("2026-11-23"));
}

TEST_CASE("a dated time overlaps the spans that hold some of it") {
    const AskedTime minute = asked("2026-11-23T09:16Z");
    const auto overlaps = [&](std::string_view first, std::string_view last) {
        return minute.overlaps(at(first), at(last));
    };
    CHECK(overlaps("2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z"));
    CHECK(overlaps("2026-11-23T09:16:59.999999999Z", "2026-11-23T09:20:00Z"));
    CHECK(overlaps("2026-11-23T09:00:00Z", "2026-11-23T09:16:00Z"));
    CHECK(overlaps("2026-11-23T09:16:30Z", "2026-11-23T09:16:30Z"));
    CHECK_FALSE(overlaps("2026-11-23T09:17:00Z", "2026-11-23T09:20:00Z"));
    CHECK_FALSE(overlaps("2026-11-23T09:00:00Z", "2026-11-23T09:15:59.999999999Z"));
    CHECK_FALSE(overlaps("2026-11-24T09:16:00Z", "2026-11-24T09:17:00Z"));
    CHECK(minute.overlaps(WallTime{}, WallTime::max()));
}

TEST_CASE("a time without a date is that of each day") {
    const AskedTime minute = asked("09:16");
    const auto overlaps = [&](std::string_view first, std::string_view last) {
        return minute.overlaps(at(first), at(last));
    };
    CHECK(overlaps("2026-11-23T09:16:30Z", "2026-11-23T09:16:40Z"));
    CHECK(overlaps("2026-11-23T10:00:00Z", "2026-11-24T09:16:00Z"));
    CHECK(overlaps("2026-11-20T10:00:00Z", "2026-11-24T08:00:00Z"));
    CHECK_FALSE(overlaps("2026-11-23T10:00:00Z", "2026-11-24T09:15:59Z"));
    CHECK_FALSE(overlaps("2026-11-23T09:17:00Z", "2026-11-23T09:18:00Z"));
    // 00:30 in a zone an hour east of UTC is 23:30 of the day before.
    CHECK(asked("00:30+01:00").overlaps(at("2026-11-23T23:30:10Z"), at("2026-11-23T23:30:20Z")));
}

TEST_CASE("a duration is told as exactly as a person wants it") {
    CHECK(duration_text(7ms) == "0.007 s");
    CHECK(duration_text(59'999ms) == "59.999 s");
    CHECK(duration_text(307s) == "5 min 7 s");
    CHECK(duration_text(3h + 12min) == "3 h 12 min");
    CHECK(duration_text(52h) == "2 d 4 h");
}
