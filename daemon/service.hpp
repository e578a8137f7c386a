// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/unique_fd.hpp"

namespace flowkin {

/// What flowkin tells the service manager (sd_notify(3)). Outside of systemd every call does nothing.
class Service {
  public:
    Service();

    void ready(const std::string& status);
    /// A reload begins. CLOCK_MONOTONIC goes with it: Type=notify-reload waits for it. A reload before ready() is
    /// not told: its end would mean ready.
    void reloading() const;
    void reloaded(const std::string& status) const;
    void stopping() const;
    void status(const std::string& status) const;
    void feed_watchdog() const;

    /// Leaves a descriptor in the manager's store (FDSTORE=1), from where the next process of this unit gets
    /// it, also after a SIGKILL. FDPOLL=0: else the manager throws a netlink socket away at its first
    /// overrun.
    void store_socket(int fd) const;
    /// True under a manager that may have a store: it was asked to notify it.
    bool keeps_sockets() const { return managed_; }
    /// Takes it out of the store.
    void forget_socket() const;
    /// The descriptor that an earlier process of this unit stored; none where there is none.
    static UniqueFd take_stored_socket();

    /// How often at least the watchdog wants to be fed; empty where there is none.
    std::optional<std::chrono::microseconds> watchdog_interval() const { return watchdog_interval_; }

  private:
    bool managed_ = false;
    bool ready_ = false;
    std::optional<std::chrono::microseconds> watchdog_interval_;
};

}  // namespace flowkin
