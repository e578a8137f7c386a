// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/timestamp_text.hpp"

#include <cstring>

#include "json/number_text.hpp"

namespace flowkin {

char* TimestampText::write(char* to, WallTime time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    if (day != day_) {
        set_date(day);
    }
    std::memcpy(to, date_.data(), date_.size());
    to += date_.size();

    // The day's first nanosecond may lie before the earliest WallTime, so that `time - day` could overflow.
    constexpr std::int64_t day_ns = 86'400'000'000'000;
    const std::int64_t rest = time.time_since_epoch().count() % day_ns;
    const auto of_day = static_cast<std::uint64_t>(rest < 0 ? rest + day_ns : rest);
    const auto second = static_cast<unsigned>(of_day / 1'000'000'000);
    const auto fraction = static_cast<unsigned>(of_day % 1'000'000'000);
    to = write_two_digits(to, second / 3600);
    *to++ = ':';
    to = write_two_digits(to, second / 60 % 60);
    *to++ = ':';
    to = write_two_digits(to, second % 60);
    *to++ = '.';
    *to++ = static_cast<char>('0' + fraction / 100'000'000);
    to = write_two_digits(to, fraction / 1'000'000 % 100);
    to = write_two_digits(to, fraction / 10'000 % 100);
    to = write_two_digits(to, fraction / 100 % 100);
    to = write_two_digits(to, fraction % 100);
    *to++ = 'Z';
    return to;
}

void TimestampText::set_date(std::chrono::sys_days day) {
    day_ = day;
    const std::chrono::year_month_day date{day};
    const auto year = static_cast<unsigned>(static_cast<int>(date.year()));  // 1677 to 2262
    char* to = write_two_digits(date_.data(), year / 100);
    to = write_two_digits(to, year % 100);
    *to++ = '-';
    to = write_two_digits(to, static_cast<unsigned>(date.month()));
    *to++ = '-';
    to = write_two_digits(to, static_cast<unsigned>(date.day()));
    *to = 'T';
}

}  // namespace flowkin
