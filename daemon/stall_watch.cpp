// SPDX-License-Identifier: GPL-2.0-or-later
#include "stall_watch.hpp"

#include <string>
#include <utility>

namespace flowkin {
namespace {

/// How long a suspicion that was wrong is not repeated, in patiences: a dump of a large table is not free.
constexpr int pause_after_wrong = 10;

/// What must have been born between two looks at least.
std::uint64_t born_at_least(const StallWatch::Look& before, const StallWatch::Look& after) {
    const auto more = static_cast<std::int64_t>(after.flows + after.died) -
                      static_cast<std::int64_t>(before.flows + before.died);
    return more > 0 ? static_cast<std::uint64_t>(more) : 0;
}

std::string likely_causes(std::optional<std::uint32_t> events, bool only_ends_come) {
    if (events == 0U) {
        return "they are switched off: sysctl -w net.netfilter.nf_conntrack_events=1 (for flows born "
               "afterwards)";
    }
    const std::string rules =
        "a rule with `ct event set` (nft list ruleset) or `-j CT --ctevents` (iptables-save -t raw) leaves "
        "them out";
    if (only_ends_come) {
        return "the ends of flows are told and not their beginnings, so " + rules;
    }
    return "likely causes: " + rules +
           "; the flows were born while nobody listened (nf_conntrack_events is 2, and 1 is "
           "better); another kernel module has taken conntrack's one notifier";
}

}  // namespace

bool StallWatch::suspects(const Look& look, nanoseconds patience, Time now) {
    if (!last_) {
        last_ = look;
        heard_ = now;
        return false;
    }
    const std::uint64_t born = born_at_least(*last_, look);
    const std::uint64_t heard = look.born - last_->born;
    const std::uint64_t died = look.died - last_->died;
    last_ = look;
    if (heard != 0) {
        heard_ = now;
        unheard_ = died_unheard_ = 0;
        if (stalled_ && heard >= born / 2) {
            stalled_ = false;
            ended_ = true;
        }
        return false;
    }
    unheard_ += born;
    died_unheard_ += died;
    if (stalled_ || suspicion_ || unheard_ == 0 || now - heard_ < patience || now < not_before_) {
        return false;
    }
    suspicion_ = look;
    return true;
}

std::optional<MonitorWarning> StallWatch::judge(std::uint64_t discovered, std::uint64_t born,
                                                std::optional<std::uint32_t> events, nanoseconds patience,
                                                Time now) {
    if (!suspicion_) {
        return std::nullopt;
    }
    const Look suspicion = *std::exchange(suspicion_, std::nullopt);
    if (discovered == 0 || born != suspicion.born) {
        not_before_ = now + std::chrono::duration_cast<Time::duration>(patience * pause_after_wrong);
        unheard_ = died_unheard_ = 0;
        heard_ = now;
        return std::nullopt;
    }
    stalled_ = true;
    return MonitorWarning{"events-stalled", "the kernel has new flows and sends no events of them: " +
                                                likely_causes(events, died_unheard_ != 0)};
}

std::optional<MonitorWarning> StallWatch::take_end() {
    if (!std::exchange(ended_, false)) {
        return std::nullopt;
    }
    return MonitorWarning{"events-resumed", "the kernel sends events of new flows again"};
}

}  // namespace flowkin
