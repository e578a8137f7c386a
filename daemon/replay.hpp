// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "base/result.hpp"
#include "config.hpp"
#include "options.hpp"

namespace flowkin {

/// Sends a capture through the pipeline and writes its lines to standard output. The same capture gives the
/// same bytes: time is the capture's, the run id the one asked for, the table's seed fixed.
Result<void> replay(const Options& options, const Config& config);

}  // namespace flowkin
