// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>

#include "json/escape.hpp"
#include "json/number_text.hpp"
#include "json/timestamp_text.hpp"
#include "sample.hpp"

namespace flowkin {
namespace {

std::string time_text(TimestampText& texts, WallTime time) {
    std::string text(TimestampText::length, '\0');
    REQUIRE(texts.write(text.data(), time) == text.data() + text.size());
    return text;
}

TEST_CASE("quotes, backslashes and control characters are escaped") {
    CHECK(escaped("ftp") == "ftp");
    CHECK(escaped("a\"b\\c") == R"(a\"b\\c)");
    CHECK(escaped(std::string("\0\n\x1f\x7f/", 5)) == "\\u0000\\u000a\\u001f\x7f/");
    CHECK(escaped("Zürich €😀") == "Zürich €😀");
}

TEST_CASE("bytes that are no UTF-8 are replaced") {
    CHECK(escaped("a\xff"
                  "b") ==
          "a\xef\xbf\xbd"
          "b");
    CHECK(escaped("\xc3") == "\xef\xbf\xbd");
    CHECK(escaped("\xe2\x82x") == "\xef\xbf\xbdx");            // cut short: one for both bytes
    CHECK(escaped("\xc0\xaf") == "\xef\xbf\xbd\xef\xbf\xbd");  // overlong
    CHECK(escaped("\xed\xa0\x80") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // a surrogate
    CHECK(escaped("\xf4\x90\x80\x80").size() == 12);                           // beyond U+10FFFF
    CHECK(escaped("\xf4\x8f\xbf\xbf") == "\xf4\x8f\xbf\xbf");
}

TEST_CASE("any bytes come out as nlohmann_json would replace and read them") {
    std::mt19937_64 bits(3);
    for (int round = 0; round < 20'000; ++round) {
        std::string text(bits() % 12, '\0');
        for (char& byte : text) {
            const std::uint64_t choice = bits();
            byte = static_cast<char>(choice % 3 == 0 ? 0xe0 + choice / 8 % 32 : choice >> 32);
        }
        const auto wanted =
            nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        REQUIRE(nlohmann::json::parse('"' + escaped(text) + '"') == nlohmann::json::parse(wanted));
    }
}

TEST_CASE("times have nine digits of the second, in UTC") {
    TimestampText texts;
    for (const char* text : {"1970-01-01T00:00:00.000000000Z", "2026-11-23T09:15:02.123456789Z",
                             "2026-11-23T23:59:59.999999999Z", "2026-11-24T00:00:00.000000001Z",
                             "2024-02-29T12:00:00.000000010Z", "1969-12-31T23:59:59.000000000Z",
                             "2000-03-01T00:00:00.100000000Z"}) {
        CHECK(time_text(texts, samples::time(text)) == text);
    }
    CHECK(time_text(texts, WallTime::max()) == "2262-04-11T23:47:16.854775807Z");
    CHECK(time_text(texts, WallTime::min()) == "1677-09-21T00:12:43.145224192Z");
    CHECK(time_text(texts, WallTime{nanoseconds{-1}}) == "1969-12-31T23:59:59.999999999Z");
}

TEST_CASE("no number is beyond int64") {
    const auto text = [](std::uint64_t value) {
        std::array<char, 20> digits{};
        return std::string(digits.data(), write_number(digits.data(), value));
    };
    CHECK(text(0) == "0");
    CHECK(text(10) == "10");
    CHECK(text(9223372036854775807U) == "9223372036854775807");
    CHECK(text(UINT64_MAX) == "9223372036854775807");
}

}  // namespace
}  // namespace flowkin
