// SPDX-License-Identifier: GPL-2.0-or-later
#include "quantity.hpp"

#include <catch2/catch.hpp>
#include <chrono>

using namespace flowkin;
using namespace std::chrono_literals;

TEST_CASE("a size is a whole number and a unit of 1024") {
    CHECK(parse_size("0B") == 0U);
    CHECK(parse_size("1KiB") == 1024U);
    CHECK(parse_size("64MiB") == 67'108'864U);
    CHECK(parse_size("4GiB") == 4'294'967'296U);
    CHECK(parse_size("17179869183GiB") == 18'446'744'072'635'809'792U);
}

TEST_CASE("what only looks like a size is none") {
    for (const auto* text : {"", "64", "MiB", "64MB", "64mib", "64 MiB", "-1MiB", "+1MiB", "1.5MiB", "0x1KiB",
                             "17179869184GiB", "99999999999999999999B", "1KiB "}) {
        CAPTURE(text);
        CHECK_FALSE(parse_size(text));
    }
}

TEST_CASE("a size is printed in the largest unit that divides it, and parses to itself") {
    CHECK(format_size(0) == "0B");
    CHECK(format_size(1023) == "1023B");
    CHECK(format_size(1536) == "1536B");
    CHECK(format_size(2048) == "2KiB");
    CHECK(format_size(1ULL << 40U) == "1024GiB");
    for (const std::uint64_t bytes :
         {1ULL, 1025ULL, 65'536ULL, 67'108'864ULL, 18'446'744'073'709'551'615ULL}) {
        CHECK(parse_size(format_size(bytes)) == bytes);
    }
}

TEST_CASE("a duration is a whole number and one unit") {
    CHECK(parse_duration("200ms") == nanoseconds(200ms));
    CHECK(parse_duration("30s") == nanoseconds(30s));
    CHECK(parse_duration("5m") == nanoseconds(5min));
    CHECK(parse_duration("1h") == nanoseconds(1h));
    CHECK(parse_duration("1d") == nanoseconds(24h));
}

TEST_CASE("what only looks like a duration is none") {
    for (const auto* text :
         {"", "5", "5M", "5 m", "1h30m", "-5s", "off", "1.5s", "5us", "106752d", "9223372036855ms"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_duration(text));
    }
}

TEST_CASE("a duration is printed in the largest unit that divides it, and parses to itself") {
    CHECK(format_duration(90s) == "90s");
    CHECK(format_duration(120s) == "2m");
    CHECK(format_duration(48h) == "2d");
    CHECK(format_duration(1500ms) == "1500ms");
    CHECK(format_duration(0s) == "0ms");
    for (const nanoseconds duration :
         {nanoseconds(1ms), nanoseconds(7s), nanoseconds(25h), nanoseconds(365 * 24h)}) {
        CHECK(parse_duration(format_duration(duration)) == duration);
    }
}
