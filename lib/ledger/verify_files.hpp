// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <iosfwd>
#include <span>
#include <string>

#include "base/result.hpp"

namespace flowkin {

/// `flowkin --verify FILE…`: holds the files, oldest first, against the conservation law as one log, and
/// prints the verdict to `out`. "-" is standard input. The value is the exit status: 0 where the law holds,
/// else 1.
///
/// Files of one run that are not in order: Fault::usage, with the order that would be right. A file that
/// cannot be read: Fault::input_output. While it works it says how far it is on `progress_fd`, where that is
/// a terminal.
Result<int> verify_files(std::span<const std::string> paths, std::ostream& out, int progress_fd);

}  // namespace flowkin
