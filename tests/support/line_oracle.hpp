// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "flow/event.hpp"
#include "json/line_encoder.hpp"

namespace flowkin {

/// What an event's line must say, worked out a second time: from docs/event-format.md, slowly, and with
/// nothing of lib/json. Records that are too long to fit a line, and so are shortened, are not its business.
nlohmann::json expected_line(const Event& event, const LineEncoderSettings& settings, std::uint64_t sequence);

}  // namespace flowkin
