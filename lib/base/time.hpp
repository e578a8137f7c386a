// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

namespace flowkin {

using std::chrono::nanoseconds;
using std::chrono::seconds;

/// Nanoseconds since 1970-01-01 UTC, as the kernel stamps events. Time is always an argument in lib/: only
/// the daemon asks a clock.
using WallTime = std::chrono::sys_time<nanoseconds>;

}  // namespace flowkin
