// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/time.hpp"
#include "flow/event.hpp"

namespace flowkin {

/// Notices that the kernel makes flows and tells of none of them.
///
/// The kernel counts no births: of its per-CPU counters (`conntrack -S`) those that did are dead, and the others
/// move with faults only. What moves is the number of flows in its table. Where that rises, by more than the DESTROY
/// events account for, some were born; and where for a while no NEW has come, that is a suspicion. It may be wrong,
/// for the number also holds flows whose first packet waits for a verdict: so the table is compared with the
/// kernel's before anything is said, and only flows that were found by it, and never told of, are a stall.
///
/// Not seen: flows that are born and die between two looks, and rules that leave out other events than NEW.
class StallWatch {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /// What is known at one moment, as totals.
    struct Look {
        std::uint64_t flows = 0;  ///< in the kernel's table
        std::uint64_t born = 0;   ///< NEW events heard
        std::uint64_t died = 0;   ///< DESTROY events heard
    };

    /// Call each second or so. True once where there is a suspicion: compare the table with the kernel's.
    bool suspects(const Look& look, nanoseconds patience, Time now);
    bool waits_for_reconcile() const { return suspicion_.has_value(); }

    /// A reconcile that began after the suspicion found so many flows. A warning where it is a stall, said once;
    /// `events` is net.netfilter.nf_conntrack_events, where it can be read.
    std::optional<MonitorWarning> judge(std::uint64_t discovered, std::uint64_t born,
                                        std::optional<std::uint32_t> events, nanoseconds patience, Time now);

    /// A warning where a stall has ended with the last look.
    std::optional<MonitorWarning> take_end();
    bool stalled() const { return stalled_; }

  private:
    std::optional<Look> last_;
    Time heard_{};       // when a NEW was last heard, or the watch began
    Time not_before_{};  // after a suspicion that was wrong
    std::uint64_t unheard_ = 0;
    std::uint64_t died_unheard_ = 0;
    std::optional<Look> suspicion_;
    bool stalled_ = false;
    bool ended_ = false;
};

}  // namespace flowkin
