// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string_view>

#include "flow/flow.hpp"

namespace flowkin {

/// Sixteen hexadecimal digits; empty where the text is anything else.
std::optional<RunId> read_run(std::string_view digits);

/// A uid as lines bear it: 32 hexadecimal digits; empty where the text is anything else.
std::optional<FlowUid> read_uid(std::string_view digits);

}  // namespace flowkin
