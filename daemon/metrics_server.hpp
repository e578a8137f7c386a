// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <cstddef>
#include <functional>
#include <string>

#include "listening_socket.hpp"

namespace flowkin {

/// Answers GET /metrics on the monitor's loop. Everything about a client is bounded: how many there are, how
/// long a request may be, how long it may take, and how long its answer may wait to be read. So whoever
/// connects, and however slowly he reads, costs the loop no more than a few scrapes.
class MetricsServer {
  public:
    /// `page` gives the text of a scrape. It is called on the loop.
    MetricsServer(boost::asio::io_context& io, ListeningSocket socket, std::function<std::string()> page);

    /// Serves until the io_context stops.
    void start();

  private:
    using Protocol = boost::asio::generic::stream_protocol;
    using Stream = boost::beast::basic_stream<Protocol>;

    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> serve(Stream stream);

    boost::asio::io_context& io_;
    ListeningSocket socket_;
    std::function<std::string()> page_;
    boost::asio::basic_socket_acceptor<Protocol> acceptor_;
    boost::asio::steady_timer pause_;
    std::size_t connections_ = 0;
};

}  // namespace flowkin
