// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/json_cursor.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "support/log_text.hpp"

using flowkin::JsonCursor;
using flowkin::JsonString;

namespace {

bool accepts(std::string_view text) {
    JsonCursor cursor(text);
    return cursor.skip() && cursor.at_end();
}

}  // namespace

TEST_CASE("what nlohmann_json takes for JSON, the cursor takes, and nothing else") {
    const std::string text =
        GENERATE(as<std::string>{}, R"({})", R"([])", R"( { "a" : [ 1 , 2.5e-3 , -0 , true ] } )",
                 R"({"a":null,"b":false})", R"("a string longer than eight bytes")",
                 R"("\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00")", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
                 // from here on: not JSON
                 R"({)", R"({"a"})", R"({"a":})", R"({"a":1,})", R"([1,])", R"([1 2])", R"({a:1})",
                 R"({"a":01})", R"(-)", R"(1.)", R"(.5)", R"(1e)", R"(+1)", R"(tru)", R"(nulll)", R"("\x")",
                 R"("\u12g4")", R"("\ud800")", R"("\ude00")", R"("\ud800A")", "\"tab\there\"", "\"\xc0\xaf\"",
                 "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"\x80\"",
                 R"("open)", R"("open\)", R"({} {})", R"()", R"( )", R"([)", R"(["a"})");
    CAPTURE(text);
    CHECK(accepts(text) == nlohmann::json::accept(text));
}

TEST_CASE("a line that was altered anywhere is judged as nlohmann_json judges it") {
    const std::string line = flowkin::test::LogText().child(7, 6, 6).text();
    std::mt19937 random(7);
    std::size_t refused = 0;  // (No exponents: they differ where a number is too large for a double.)
    for (int round = 0; round < 20'000; ++round) {
        std::string altered = line;
        constexpr std::string_view bytes = "\"\\{}[]:,0 1.-+tfn\x1f\x7f\x80\xc3\xa9u";
        altered[random() % altered.size()] = bytes[random() % bytes.size()];
        if (random() % 4 == 0) {
            altered.resize(random() % altered.size());
        }
        const bool wanted = nlohmann::json::accept(altered);
        refused += wanted ? 0U : 1U;
        if (accepts(altered) != wanted) {
            FAIL(altered);
        }
    }
    CHECK(refused > 1000);
    CHECK(refused < 19'000);
}

TEST_CASE("nesting is taken to a limit and refused beyond it") {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    CHECK(accepts(nested(JsonCursor::deepest)));
    CHECK_FALSE(accepts(nested(JsonCursor::deepest + 1)));
    CHECK_FALSE(accepts(std::string(1'000'000, '[')));
}

TEST_CASE("a special byte is found at every place in a string") {
    for (std::size_t length = 0; length < 40; ++length) {
        for (std::size_t place = 0; place < length; ++place) {
            std::string text = '"' + std::string(length, 'x') + '"';
            text[place + 1] = '\x1f';
            CHECK_FALSE(accepts(text));
            text[place + 1] = '"';
            CHECK(accepts(text) == (place + 1 == text.size() - 1));
            text[place + 1] = '\xff';
            CHECK_FALSE(accepts(text));
        }
    }
}

TEST_CASE("an escaped string means what its escapes say") {
    std::array<char, 64> storage{};
    CHECK(unescape(JsonString{R"(\u0065vent)", true}, storage) == "event");
    CHECK(unescape(JsonString{R"(a\/b\\c\"d\n)", true}, storage) == "a/b\\c\"d\n");
    CHECK(unescape(JsonString{"plain", false}, storage) == "plain");
    CHECK(unescape(JsonString{R"(ev\u00e9nt)", true}, storage) != "event");
    CHECK(unescape(JsonString{std::string(5000, 'x') + R"(\n)", true}, storage).size() == storage.size());
}
