// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/log_time.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

namespace flowkin {

namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::minutes;

/// Takes a text apart from its front.
class TextWalk {
  public:
    explicit TextWalk(std::string_view text) : rest_(text) {}

    bool at_end() const { return rest_.empty(); }
    std::string_view rest() const { return rest_; }

    bool take(std::string_view any_of) {
        if (rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos) {
            return false;
        }
        rest_.remove_prefix(1);
        return true;
    }

    /// Exactly so many digits.
    bool number(std::size_t digits, int& value) {
        if (rest_.size() < digits) {
            return false;
        }
        value = 0;
        for (const char digit : rest_.substr(0, digits)) {
            if (digit < '0' || digit > '9') {
                return false;
            }
            value = value * 10 + (digit - '0');
        }
        rest_.remove_prefix(digits);
        return true;
    }

    /// One to nine digits behind the point, as nanoseconds; `unit` is what the last of them counts.
    bool fraction(nanoseconds& value, nanoseconds& unit) {
        unit = seconds(1);
        value = nanoseconds(0);
        int digit = 0;
        while (unit > nanoseconds(1) && number(1, digit)) {
            unit /= 10;
            value += unit * digit;
        }
        return unit < seconds(1) && (rest_.empty() || rest_.front() < '0' || rest_.front() > '9');
    }

  private:
    std::string_view rest_;
};

/// Nanoseconds since 1970 end in 2262.
constexpr int first_year = 1970;
constexpr int last_year = 2261;

bool take_date(TextWalk& text, std::chrono::sys_days& date) {
    int year = 0;
    int month = 0;
    int day = 0;
    if (!text.number(4, year) || !text.take("-") || !text.number(2, month) || !text.take("-") ||
        !text.number(2, day) || year < first_year || year > last_year) {
        return false;
    }
    const std::chrono::year_month_day named{std::chrono::year(year),
                                            std::chrono::month(static_cast<unsigned>(month)),
                                            std::chrono::day(static_cast<unsigned>(day))};
    date = named;
    return named.ok();
}

bool take_clock(TextWalk& text, nanoseconds& since_midnight, nanoseconds& length) {
    int hour = 0;
    int minute = 0;
    int second = 0;
    if (!text.number(2, hour) || !text.take(":") || !text.number(2, minute) || hour > 23 || minute > 59) {
        return false;
    }
    since_midnight = hours(hour) + minutes(minute);
    length = minutes(1);
    if (!text.take(":")) {
        return true;
    }
    if (!text.number(2, second) || second > 60) {  // 60: a leap second
        return false;
    }
    since_midnight += seconds(second);
    length = seconds(1);
    if (!text.take(".,")) {
        return true;
    }
    nanoseconds fraction{};
    if (!text.fraction(fraction, length)) {
        return false;
    }
    since_midnight += fraction;
    return true;
}

/// What has to be taken off to come to UTC; nothing where no offset is given.
bool take_offset(TextWalk& text, nanoseconds& offset) {
    offset = nanoseconds(0);
    if (text.at_end() || text.take("Zz")) {
        return true;
    }
    const bool west = text.rest().front() == '-';
    int hour = 0;
    int minute = 0;
    if (!text.take("+-") || !text.number(2, hour) || !text.take(":") || !text.number(2, minute) ||
        hour > 23 || minute > 59) {
        return false;
    }
    offset = hours(hour) + minutes(minute);
    offset = west ? -offset : offset;
    return true;
}

}  // namespace

bool AskedTime::overlaps(WallTime first, WallTime last) const {
    if (last < first) {
        return false;
    }
    if (!every_day) {
        return first < begin + length && last >= begin;
    }
    // Of the days on which the span ends after `first`, the earliest is the one to look at.
    const nanoseconds day = days(1);
    const nanoseconds past_end = first - (begin + length);
    const auto day_number = past_end < nanoseconds(0) ? 0 : past_end / day + 1;
    return begin + day_number * day <= last;
}

std::optional<AskedTime> parse_asked_time(std::string_view text) {
    TextWalk walk(text);
    AskedTime asked;
    nanoseconds since_midnight{};
    nanoseconds offset{};
    const bool dated = text.size() >= 5 && text[4] == '-';
    std::chrono::sys_days date{};
    if (dated && !take_date(walk, date)) {
        return std::nullopt;
    }
    if (dated && walk.at_end()) {
        return AskedTime{WallTime(date), days(1), false};
    }
    if ((dated && !walk.take("Tt ")) || !take_clock(walk, since_midnight, asked.length) ||
        !take_offset(walk, offset) || !walk.at_end()) {
        return std::nullopt;
    }
    if (dated) {
        asked.begin = WallTime(date) + since_midnight - offset;
        return asked;
    }
    const nanoseconds day = days(1);
    asked.begin = WallTime((since_midnight - offset + day) % day);
    asked.every_day = true;
    return asked;
}

std::optional<WallTime> parse_log_time(std::string_view text) {
    const auto asked = parse_asked_time(text);
    if (!asked || asked->every_day || asked->length == days(1)) {
        return std::nullopt;
    }
    return asked->begin;
}

std::string date_text(WallTime time) {
    const std::chrono::year_month_day date(floor<days>(time));
    std::array<char, 40> text{};
    const int length =
        std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
    return {text.data(), static_cast<std::size_t>(std::max(length, 0))};
}

std::string clock_text(WallTime time) {
    const std::chrono::hh_mm_ss clock(
        std::chrono::duration_cast<std::chrono::microseconds>(time - floor<days>(time)));
    std::array<char, 40> text{};
    const int length = std::snprintf(
        text.data(), text.size(), "%02d:%02d:%02d.%06d", static_cast<int>(clock.hours().count()),
        static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
        static_cast<int>(clock.subseconds().count()));
    return {text.data(), static_cast<std::size_t>(std::max(length, 0))};
}

std::string duration_text(nanoseconds duration) {
    const auto whole = std::chrono::duration_cast<seconds>(duration).count();
    const auto two = [](std::int64_t first, const char* first_unit, std::int64_t second,
                        const char* second_unit) {
        return std::to_string(first) + first_unit + std::to_string(second) + second_unit;
    };
    if (whole < 60) {
        const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
        std::array<char, 40> text{};
        const int length =
            std::snprintf(text.data(), text.size(), "%d.%03d s", static_cast<int>(milliseconds / 1000),
                          static_cast<int>(milliseconds % 1000));
        return {text.data(), static_cast<std::size_t>(std::max(length, 0))};
    }
    if (whole < 3600) {
        return two(whole / 60, " min ", whole % 60, " s");
    }
    if (whole < 86'400) {
        return two(whole / 3600, " h ", whole % 3600 / 60, " min");
    }
    return two(whole / 86'400, " d ", whole % 86'400 / 3600, " h");
}

}  // namespace flowkin
