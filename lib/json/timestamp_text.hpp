// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>

#include "base/time.hpp"

namespace flowkin {

/// Times as the log writes them: RFC 3339, UTC, nine digits of the second ("2026-11-23T09:15:02.123456789Z").
/// The date is worked out once a day and kept.
class TimestampText {
  public:
    static constexpr std::size_t length = 30;

    /// Writes `length` bytes and returns where it stopped.
    char* write(char* to, WallTime time);

  private:
    void set_date(std::chrono::sys_days day);

    std::chrono::sys_days day_{std::chrono::days{-1'000'000}};
    std::array<char, 11> date_{};  ///< "2026-11-23T"
};

}  // namespace flowkin
