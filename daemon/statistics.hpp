// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "intake.hpp"

namespace flowkin {

/// What was counted on the way from the sockets to the log: as totals, and as what came since the last record.
class Statistics {
  public:
    explicit Statistics(const Intake& intake) : intake_(intake) {}

    /// Counted since the start, in the order and with the names of monitor-stop's `totals`.
    MonitorCounters totals() const;
    void begin(WallTime now) { said_ = now; }
    /// A monitor-stats record, where one is due.
    std::optional<MonitorStats> due(WallTime now, std::optional<nanoseconds> interval);
    /// One line for `systemctl status`.
    std::string status_text() const;

  private:
    const Intake& intake_;
    WallTime said_{};
    MonitorCounters at_last_record_;
};

}  // namespace flowkin
