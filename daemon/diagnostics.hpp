// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "config.hpp"

namespace flowkin {

/// Sends spdlog's default logger to standard error, and nothing ever to standard output. Under journald each
/// line bears its priority, so that journalctl -p finds it.
void set_up_diagnostics(Config::LogLevel level);

void set_diagnostics_level(Config::LogLevel level);

}  // namespace flowkin
