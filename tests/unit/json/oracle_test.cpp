// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "random_event.hpp"
#include "support/line_oracle.hpp"

namespace flowkin {
namespace {

using nlohmann::json;

/// Parses, and refuses a member that stands twice in its object (where json::parse() silently keeps the
/// last).
json parsed(const std::string& line) {
    std::vector<std::set<std::string>> members;
    return json::parse(line, [&](int /*depth*/, json::parse_event_t event, json& value) {
        if (event == json::parse_event_t::object_start) {
            members.emplace_back();
        } else if (event == json::parse_event_t::object_end) {
            members.pop_back();
        } else if (event == json::parse_event_t::key &&
                   !members.back().insert(value.get<std::string>()).second) {
            throw std::runtime_error("stands twice: " + value.get<std::string>());
        }
        return true;
    });
}

TEST_CASE("every line says what its event says") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        samples::RandomEvents events(seed);
        const LineEncoderSettings settings = events.settings();
        LineEncoder encoder = *LineEncoder::create(settings);
        for (std::uint64_t n = 0; n < 1000; ++n) {
            const Event event = events.next();
            const std::uint64_t sequence = n == 999 ? UINT64_MAX : n * n * n + 1;
            const std::string line = samples::line_of(encoder, event, sequence);
            INFO("seed " << seed << ", event " << n << ": " << line);
            REQUIRE(line.size() < 4095);
            REQUIRE(line.find('\n') == std::string::npos);
            const json said = parsed(line);
            const json wanted = expected_line(event, settings, sequence);
            INFO(json::diff(wanted, said).dump());
            REQUIRE(said == wanted);
        }
    }
}

}  // namespace
}  // namespace flowkin
