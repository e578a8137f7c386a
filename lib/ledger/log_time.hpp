// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace flowkin {

/// The time that `--at` names, as long as it is written exactly: "09:16" is a minute, "09:16:05" a second,
/// "2026-11-23" a day.
struct AskedTime {
    WallTime begin{};
    nanoseconds length{};
    bool every_day = false;  ///< no date was given: `begin` lies in the first day of 1970, and any day counts

    /// Whether some of it lies in first … last, both included.
    bool overlaps(WallTime first, WallTime last) const;
};

/// RFC 3339, of which may be left out: the fraction, the seconds, the offset (then it is UTC), the date or
/// the time of day. A blank may stand for the T.
std::optional<AskedTime> parse_asked_time(std::string_view text);

/// A time as the log writes it: RFC 3339 with a date and a time of day.
std::optional<WallTime> parse_log_time(std::string_view text);

/// "2026-11-23", in UTC.
std::string date_text(WallTime time);
/// "09:15:07.612004", in UTC.
std::string clock_text(WallTime time);
/// "307.268 s", "5 min 7 s", "3 h 12 min", "2 d 4 h".
std::string duration_text(nanoseconds duration);

}  // namespace flowkin
