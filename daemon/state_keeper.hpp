// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <string>

#include "config.hpp"
#include "intake.hpp"
#include "recovery.hpp"
#include "state/state_file.hpp"

namespace flowkin {

/// The table on disk: taken from there at the start, written after the first dump and each [state] interval, and at
/// the end. In slices while events go on; the disk's work has a thread of its own.
class StateKeeper {
  public:
    /// `ending` is the monitor's: once it is true, run() returns at its next step.
    StateKeeper(boost::asio::io_context& io, Intake& intake, const Config& config, RunId run,
                const bool& ending);

    /// Fills the table with what the run before left, and lets the source go on where that one's account ended.
    Recovery recover();

    boost::asio::awaitable<void> run();
    /// The end has come: what is waited for is looked at anew.
    void wake() { timer_.cancel(); }
    /// The whole table now, when nothing else goes on. `clean`: every line that it builds on is written.
    void save_last(bool clean);

  private:
    boost::asio::awaitable<Result<void>> save();
    boost::asio::awaitable<bool> all_written();
    Result<void> save_at_once(bool clean);
    StateHeader header(bool clean) const;

    Intake& intake_;
    const Config& config_;
    RunId run_;
    const bool& ending_;
    std::string path_;      // empty: nothing is kept
    std::string log_path_;  // empty: standard output
    boost::asio::steady_timer timer_;
    boost::asio::thread_pool disk_{1};
};

}  // namespace flowkin
