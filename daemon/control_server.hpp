// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "control_session.hpp"
#include "listening_socket.hpp"
#include "rate_meter.hpp"

namespace flowkin {

/// The control socket at work: admits clients, each a ControlSession, and keeps an eye on how fast things
/// go. Who may not, and who is one too many, gets one line that says so.
class ControlServer {
  public:
    static constexpr std::size_t most_sessions = 32;

    /// `pipeline` outlives it. Begins at once.
    ControlServer(boost::asio::io_context& io, ListeningSocket socket, Pipeline& pipeline,
                  ControlActions actions);
    /// Only when the loop turns no more: sessions refer to it.
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

  private:
    using Socket = ControlSession::Socket;

    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> observe();
    void admit(Socket socket);
    static void turn_away(Socket socket, std::string_view answer);

    boost::asio::io_context& io_;
    ListeningSocket socket_;
    boost::asio::local::stream_protocol::acceptor
        acceptor_;  // of the socket's descriptor, which stays its own
    boost::asio::steady_timer pause_;
    boost::asio::steady_timer second_;
    Pipeline& pipeline_;
    ControlActions actions_;
    RateMeter meter_;
    std::function<MonitorCounters()> rates_;
    std::string who_may_;
    std::size_t sessions_ = 0;
};

}  // namespace flowkin
