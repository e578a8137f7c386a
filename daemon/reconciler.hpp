// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "config.hpp"
#include "intake.hpp"

namespace flowkin {

/// Holds the table against the kernel's: a dump on a socket of its own, and then a sweep. At the start, after a
/// loss, on a timer, on request. It works in slices and reads the events in between, so that none waits for it
/// and the dump is never ahead of them.
class Reconciler {
  public:
    /// `ending` is the monitor's: once it is true, run() returns at its next step.
    Reconciler(boost::asio::io_context& io, Intake& intake, const Config& config, const bool& ending);

    /// One reconcile after the other as they are asked for. `first_done` is called once, when the first is over.
    boost::asio::awaitable<void> run(std::function<void()> first_done);

    /// Wanted now; several that wait are one.
    void request(ReconcileCause cause);
    /// The configuration has changed, or the end has come: whatever is waited for is looked at anew.
    void wake() { timer_.cancel(); }

    /// What the last one found; none before the first.
    const std::optional<ResyncCompleted>& last() const { return last_; }
    std::uint64_t completed() const { return completed_; }
    /// The kernel's table could not be read whole for the last one.
    bool last_failed() const { return last_failed_; }
    /// How many were begun and are over, so that one that was asked for can be waited for: it is over when more
    /// are over than had begun when it was asked for.
    std::uint64_t begun() const { return begun_; }
    std::uint64_t over() const { return over_; }

  private:
    enum class DumpResult : std::uint8_t { complete, interrupted, failed };

    boost::asio::awaitable<std::optional<ReconcileCause>> next_cause();
    boost::asio::awaitable<void> reconcile(ReconcileCause cause);
    boost::asio::awaitable<DumpResult> dump();
    boost::asio::awaitable<void> sweep();

    boost::asio::io_context& io_;
    Intake& intake_;
    const Config& config_;
    const bool& ending_;
    boost::asio::steady_timer timer_;
    std::vector<std::uint8_t> buffer_;
    std::optional<ReconcileCause> wanted_;
    std::optional<ResyncCompleted> last_;
    std::uint64_t completed_ = 0;
    bool last_failed_ = false;
    std::uint64_t begun_ = 0;
    std::uint64_t over_ = 0;
};

}  // namespace flowkin
