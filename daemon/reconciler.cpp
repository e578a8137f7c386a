// SPDX-License-Identifier: GPL-2.0-or-later
#include "reconciler.hpp"

#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <memory>
#include <utility>

#include "clock.hpp"
#include "netlink/decode.hpp"
#include "netlink/netlink_socket.hpp"

namespace flowkin {

namespace asio = boost::asio;

namespace {

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

/// Losses come in bursts: the dump that mends them waits until the burst is over.
constexpr std::chrono::milliseconds loss_pause{500};

constexpr std::size_t sweep_slice = 1024;  // flows whose lines fit the smallest queue
constexpr std::size_t buffer_bytes = 65'536;
constexpr std::size_t drain_batches = 64;
constexpr std::size_t last_drain_batches = 1024;
constexpr int dump_tries = 3;

}  // namespace

Reconciler::Reconciler(asio::io_context& io, Intake& intake, const Config& config, const bool& ending)
    : io_(io), intake_(intake), config_(config), ending_(ending), timer_(io), buffer_(buffer_bytes) {}

void Reconciler::request(ReconcileCause cause) {
    wanted_ = cause;
    timer_.cancel();
}

asio::awaitable<void> Reconciler::run(std::function<void()> first_done) {
    while (!ending_) {
        const auto cause = co_await next_cause();
        if (!cause) {
            continue;
        }
        ++begun_;
        co_await reconcile(*cause);
        ++over_;
        if (first_done) {
            std::exchange(first_done, nullptr)();
        }
    }
}

/// None where it was woken for something else.
asio::awaitable<std::optional<ReconcileCause>> Reconciler::next_cause() {
    if (!wanted_) {
        auto interval = config_.conntrack.reconcile_interval;
        if (config_.output.active_interval) {
            interval =
                std::min(interval.value_or(*config_.output.active_interval), *config_.output.active_interval);
        }
        if (interval) {
            timer_.expires_after(*interval);
        } else {
            timer_.expires_at(std::chrono::steady_clock::time_point::max());
        }
        const auto [cancelled] = co_await timer_.async_wait(quietly);
        if (!cancelled) {
            wanted_ = ReconcileCause::timer;
        }
        co_return std::nullopt;
    }
    const ReconcileCause cause = *std::exchange(wanted_, std::nullopt);
    if (cause == ReconcileCause::overrun) {
        timer_.expires_after(loss_pause);
        co_await timer_.async_wait(quietly);
        wanted_.reset();
    }
    co_return cause;
}

asio::awaitable<void> Reconciler::reconcile(ReconcileCause cause) {
    const WallTime begun = wall_clock_now();
    DumpResult result = DumpResult::interrupted;
    for (int tries = 0; tries < dump_tries && result == DumpResult::interrupted && !ending_; ++tries) {
        result = co_await dump();
    }
    FlowTable& table = intake_.table();
    if (result != DumpResult::complete) {
        table.abandon_reconcile(wall_clock_now());
        last_failed_ = true;
        if (!ending_) {
            intake_.warn({"dump-failed",
                          "the kernel's flow table could not be read whole; the next reconcile tries again"});
        }
        intake_.submit(wall_clock_now());
        co_return;
    }
    if (cause == ReconcileCause::overrun && intake_.reliable_destroy().on()) {
        // The kernel may still hold the DESTROY of a flow that it no longer dumps.
        table.abandon_reconcile(wall_clock_now());
    } else {
        co_await sweep();
    }
    const WallTime now = wall_clock_now();
    const ReconcileCounts counts = table.reconcile_counts();
    last_ = ResyncCompleted{.cause = cause,
                            .dumped = counts.dumped,
                            .discovered = counts.discovered,
                            .ended = counts.ended,
                            .unchanged = counts.unchanged,
                            .duration = now - begun};
    ++completed_;
    last_failed_ = false;
    intake_.say({now, *last_});
}

/// One dump into the table, between begin_reconcile() and the last drain of the event socket.
asio::awaitable<Reconciler::DumpResult> Reconciler::dump() {
    auto socket = NetlinkSocket::open(NetlinkSocket::Groups::none, 0);
    if (!socket) {
        spdlog::warn("dump: {}", socket.error().text);
        co_return DumpResult::failed;
    }
    asio::posix::stream_descriptor readable(io_, socket->fd());
    const auto keep_descriptor =
        std::unique_ptr<asio::posix::stream_descriptor, void (*)(asio::posix::stream_descriptor*)>(
            &readable, [](asio::posix::stream_descriptor* descriptor) { descriptor->release(); });
    intake_.table().abandon_reconcile(wall_clock_now());
    intake_.table().begin_reconcile(wall_clock_now());
    if (const auto sent = socket->send(flow_dump_request(1)); !sent) {
        spdlog::warn("dump: {}", sent.error().text);
        co_return DumpResult::failed;
    }
    bool interrupted = false;
    while (!ending_) {
        const auto received = receive_dump(*socket, buffer_);
        if (!received) {
            spdlog::warn("dump: {}", received.error().text);
            co_return DumpResult::failed;
        }
        if (*received == 0) {
            co_await readable.async_wait(asio::posix::descriptor_base::wait_read, quietly);
            continue;
        }
        // What the kernel said before it filled this is heard first: the dump is never ahead of the events.
        intake_.drain_events(drain_batches);
        const std::span<const std::uint8_t> datagram(buffer_.data(), *received);
        const Pipeline::DumpProgress progress = intake_.feed_dump(datagram, wall_clock_now());
        interrupted = interrupted || progress.interrupted;
        if (progress.error != 0) {
            spdlog::warn("dump: {}", std::strerror(progress.error));
            co_return DumpResult::failed;
        }
        if (progress.done) {
            // What was said before the dump's end is heard before the sweep.
            intake_.drain_events(last_drain_batches);
            co_return interrupted ? DumpResult::interrupted : DumpResult::complete;
        }
        co_await asio::post(io_, asio::use_awaitable);
    }
    co_return DumpResult::failed;
}

asio::awaitable<void> Reconciler::sweep() {
    while (!intake_.table().finish_reconcile(wall_clock_now(), sweep_slice)) {
        intake_.submit(wall_clock_now());
        co_await asio::post(io_, asio::use_awaitable);
    }
}

}  // namespace flowkin
