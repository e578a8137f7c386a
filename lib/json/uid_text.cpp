// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/uid_text.hpp"

#include <charconv>

namespace flowkin {

std::optional<RunId> read_run(std::string_view digits) {
    RunId run = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), run, 16);
    if (digits.size() != 16 || error != std::errc{} || end != digits.data() + digits.size()) {
        return std::nullopt;
    }
    return run;
}

std::optional<FlowUid> read_uid(std::string_view digits) {
    if (digits.size() != 32) {
        return std::nullopt;
    }
    const auto run = read_run(digits.substr(0, 16));
    const auto counter = read_run(digits.substr(16));
    return run && counter ? std::optional(FlowUid{*run, *counter}) : std::nullopt;
}

}  // namespace flowkin
