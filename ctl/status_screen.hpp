// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace flowkin {

/// `status` of the control socket's answer (docs/control.md) on one screen, the last line with its newline.
/// What is missing or of another type is left out.
std::string status_screen(const nlohmann::json& status);

}  // namespace flowkin
