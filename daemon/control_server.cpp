// SPDX-License-Identifier: GPL-2.0-or-later
#include "control_server.hpp"

#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <utility>

#include "control_answer.hpp"
#include "control_socket.hpp"

namespace flowkin {

namespace asio = boost::asio;

namespace {

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

/// Where no connection can be accepted (descriptors are short, say), the next try waits.
constexpr std::chrono::milliseconds accept_pause{100};

std::string group_name() {
    const group* entry = ::getgrgid(::getegid());
    return entry != nullptr ? entry->gr_name : std::to_string(::getegid());
}

void rethrow(const std::exception_ptr& failure) {
    if (failure) {
        std::rethrow_exception(failure);
    }
}

}  // namespace

ControlServer::ControlServer(asio::io_context& io, ListeningSocket socket, Pipeline& pipeline,
                             ControlActions actions)
    : io_(io),
      socket_(std::move(socket)),
      acceptor_(io, asio::local::stream_protocol(), socket_.fd()),
      pause_(io),
      second_(io),
      pipeline_(pipeline),
      actions_(std::move(actions)),
      rates_([this] { return meter_.rates(); }),
      who_may_("only root, flowkin's own user and members of the group " + group_name() + " may control it") {
    asio::co_spawn(io_, accept(), rethrow);
    asio::co_spawn(io_, observe(), rethrow);
}

ControlServer::~ControlServer() {
    boost::system::error_code ignored;  // the descriptor is closed all the same
    acceptor_.release(ignored);
}

asio::awaitable<void> ControlServer::accept() {
    while (true) {
        auto [failed, socket] = co_await acceptor_.async_accept(quietly);
        if (failed) {
            pause_.expires_after(accept_pause);
            co_await pause_.async_wait(quietly);
            continue;
        }
        admit(std::move(socket));
    }
}

asio::awaitable<void> ControlServer::observe() {
    while (true) {
        meter_.note(RateMeter::Clock::now(), actions_.totals());
        second_.expires_after(std::chrono::seconds(1));
        co_await second_.async_wait(quietly);
    }
}

void ControlServer::admit(Socket socket) {
    if (!peer_may_control(socket.native_handle())) {
        turn_away(std::move(socket), answer_refused(who_may_));
        return;
    }
    if (sessions_ == most_sessions) {
        turn_away(std::move(socket), answer_busy("there are " + std::to_string(most_sessions) +
                                                 " connections already; try again later"));
        return;
    }
    ++sessions_;
    auto session = std::make_shared<ControlSession>(std::move(socket), pipeline_, actions_, rates_);
    asio::co_spawn(
        io_, [session]() -> asio::awaitable<void> { co_await session->run(); },
        [this](const std::exception_ptr& failure) {
            --sessions_;
            rethrow(failure);
        });
}

/// Without waiting: the line fits into a new connection's buffer.
void ControlServer::turn_away(Socket socket, std::string_view answer) {
    ::send(socket.native_handle(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace flowkin
