// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "flow/event.hpp"

namespace flowkin {

/// Turns the kernel's count of what did not fit into the socket into loss records, one for each interval. The
/// counter is the kernel's (SK_MEMINFO_DROPS): 32 bits, and it wraps. Each drop is in one record.
class SocketLoss {
  public:
    explicit SocketLoss(std::uint32_t dropped_before) : declared_(dropped_before), looked_(dropped_before) {}

    /// Nothing was missing at this time: the socket was read empty, or what was read is without a gap so far.
    void whole(WallTime now) {
        if (!since_) {
            whole_ = now;
        }
    }

    /// True where the counter has moved since it was looked at last.
    bool look(std::uint32_t dropped) { return std::exchange(looked_, dropped) != dropped; }

    /// Events were dropped: the kernel said so (ENOBUFS), or its counter did.
    void overrun() {
        if (!since_) {
            since_ = whole_;
        }
    }

    /// True where a loss waits to be declared.
    bool open() const { return since_.has_value(); }

    /// A record where something was lost since the last one. `dropped` is what the socket said between two
    /// moments: what it lost after the first may already belong to the next record.
    std::optional<LossEvent> settle(std::uint32_t dropped, WallTime before, WallTime after) {
        const WallTime since = since_.value_or(whole_);
        const std::uint32_t count = dropped - declared_;
        declared_ = dropped;
        total_ += count;
        since_.reset();
        whole_ = before;
        if (count == 0) {
            return std::nullopt;
        }
        LossEvent loss;
        loss.at = after;
        loss.place = LossPlace::kernel_socket;
        loss.count = count;
        loss.since = since;
        loss.until = after;
        return loss;
    }

    std::uint64_t total() const { return total_; }

    /// The counter's value up to which losses are in the log; an earlier run of the same socket says it to
    /// the next.
    std::uint32_t declared() const { return declared_; }
    void declared_before(std::uint32_t dropped) { declared_ = dropped; }

  private:
    std::uint32_t declared_;
    std::uint32_t looked_;
    WallTime whole_{};
    std::optional<WallTime> since_;
    std::uint64_t total_ = 0;
};

}  // namespace flowkin
