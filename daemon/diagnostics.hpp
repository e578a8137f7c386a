// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "config.hpp"

namespace flowkin {

/// Sends spdlog's default logger to standard error, and nothing ever to standard output. It never waits for whoever
/// reads there.
///
/// Under journald each line bears its priority, so that journalctl -p finds it. Where standard output leads to the
/// journal as well, each is a JSON object like the lines it stands among.
void set_up_diagnostics(Config::LogLevel level);

/// From here on diagnostics cannot fall into a line: for the time when lines are written. Before and after, standard
/// error itself is the surer way: the journal knows even of a process that is already gone which unit it was.
void separate_diagnostics();

void set_diagnostics_level(Config::LogLevel level);

/// Where the lines go, once that is known; until then they are taken to go to standard output.
void set_diagnostics_beside(Config::Destination lines);

/// True where standard output leads to the journal.
bool standard_output_is_journal();

}  // namespace flowkin
