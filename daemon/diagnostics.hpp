// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "config.hpp"

namespace flowkin {

/// Sends spdlog's default logger to standard error, and nothing ever to standard output. Under journald each
/// line bears its priority, so that journalctl -p finds it.
void set_up_diagnostics(Config::LogLevel level);

/// From here on diagnostics cannot fall into a line, or wait for a journal that hangs: for the time when lines are
/// written. Before and after, standard error itself is the surer way: the journal knows even of a process that is
/// already gone which unit it was.
void separate_diagnostics();

void set_diagnostics_level(Config::LogLevel level);

}  // namespace flowkin
