// SPDX-License-Identifier: GPL-2.0-or-later
#include "event_pump.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

namespace flowkin {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

/// Two wake-ups this close together are a stream.
constexpr milliseconds busy{4};
/// What the latency of an event in a stream may cost, and the receive buffer must hold.
constexpr milliseconds nap_length{2};

}  // namespace

EventPump::EventPump(asio::io_context& io, Intake& intake, const bool& ending)
    : intake_(intake), ending_(ending), readable_(io), timer_(io) {}

EventPump::~EventPump() {
    if (readable_.is_open()) {
        readable_.release();
    }
}

asio::awaitable<void> EventPump::run() {
    auto woken = std::chrono::steady_clock::now();
    auto woken_before = woken - busy;
    while (!ending_) {
        const std::size_t received = intake_.receive_events();
        if (received >= DatagramArena::batch) {
            co_await asio::post(timer_.get_executor(),
                                asio::use_awaitable);  // signals and timers get their turn
            continue;
        }
        if (received != 0 && woken - woken_before < busy) {
            co_await nap();
        } else {
            co_await wait_until_readable();
        }
        woken_before = std::exchange(woken, std::chrono::steady_clock::now());
    }
}

void EventPump::wake() {
    if (readable_.is_open()) {
        readable_.cancel();
    }
    timer_.cancel();
}

asio::awaitable<void> EventPump::wait_until_readable() {
    if (!readable_.is_open()) {
        readable_.assign(intake_.source().socket().fd());
    }
    co_await readable_.async_wait(asio::posix::descriptor_base::wait_read, quietly);
}

/// While the loop knows the descriptor, each datagram wakes it, whether or not anybody waits for it: a nap would
/// be none.
asio::awaitable<void> EventPump::nap() {
    if (readable_.is_open()) {
        readable_.release();
    }
    timer_.expires_after(nap_length);
    co_await timer_.async_wait(quietly);
}

}  // namespace flowkin
