// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "base/time.hpp"

namespace flowkin {

/// The wall clock, which nothing below the daemon asks.
inline WallTime wall_clock_now() {
    return std::chrono::time_point_cast<nanoseconds>(std::chrono::system_clock::now());
}

}  // namespace flowkin
