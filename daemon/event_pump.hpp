// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "intake.hpp"

namespace flowkin {

/// When the event socket is read. An event that comes alone is read at once. Where they come in a stream the pump
/// naps between two looks, so that each finds many: to be woken costs more than to read an event.
class EventPump {
  public:
    /// `ending` is the monitor's: once it is true, run() returns at its next step.
    EventPump(boost::asio::io_context& io, Intake& intake, const bool& ending);
    ~EventPump();
    EventPump(const EventPump&) = delete;
    EventPump& operator=(const EventPump&) = delete;

    boost::asio::awaitable<void> run();
    /// Whatever it waits for is over.
    void wake();

  private:
    boost::asio::awaitable<void> wait_until_readable();
    boost::asio::awaitable<void> nap();

    Intake& intake_;
    const bool& ending_;
    boost::asio::posix::stream_descriptor
        readable_;  // the event socket's descriptor, which stays the socket's; none during a nap
    boost::asio::steady_timer timer_;
};

}  // namespace flowkin
