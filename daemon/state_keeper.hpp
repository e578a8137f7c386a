// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <string>

#include "flow/flow_table.hpp"
#include "state/state_file.hpp"

namespace flowkin {

/// Writes the table to its file: in slices while events go on, the disk's work on a thread of its own; or at
/// once, at the end.
class StateKeeper {
  public:
    /// An empty path: nothing is kept.
    explicit StateKeeper(std::string path) : path_(std::move(path)) {}

    bool keeps() const { return !path_.empty(); }
    const std::string& path() const { return path_; }

    /// A snapshot. It is put in place only when `may_finish` (which may wait) says so: when every line it
    /// builds on is written. Else a crash could leave a flow in it whose opening nobody ever read.
    boost::asio::awaitable<Result<void>> save(StateHeader header, const FlowTable& table,
                                              std::function<boost::asio::awaitable<bool>()> may_finish);

    /// The whole table now, when nothing else goes on.
    Result<void> save_at_once(const StateHeader& header, const FlowTable& table);

    /// Waits for what is being written.
    void join() { disk_.join(); }

  private:
    std::string path_;
    boost::asio::thread_pool disk_{1};
};

}  // namespace flowkin
