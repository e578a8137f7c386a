// SPDX-License-Identifier: GPL-2.0-or-later
#include "control_session.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "control_answer.hpp"

namespace flowkin {

namespace asio = boost::asio;

namespace {

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

constexpr std::chrono::seconds request_time{10};
constexpr std::chrono::seconds write_time{30};

/// How often a client that waits for a reconcile looks whether it is over.
constexpr std::chrono::milliseconds reconcile_look{20};

/// Places of the table between two turns of the loop: well below a millisecond's work.
constexpr std::size_t slice = 512;
/// Fewer bytes than this wait for the next slice's.
constexpr std::size_t write_bytes = 65'536;

}  // namespace

ControlSession::ControlSession(Socket socket, Pipeline& pipeline, const ControlActions& actions,
                               const std::function<MonitorCounters()>& rates)
    : socket_(std::move(socket)),
      pipeline_(pipeline),
      actions_(actions),
      rates_(rates),
      deadline_(socket_.get_executor()) {}

asio::awaitable<void> ControlSession::run() {
    while (true) {
        limit(request_time);
        auto room = asio::dynamic_buffer(received_, ControlRequest::most_bytes);
        const auto [failed, length] = co_await asio::async_read_until(socket_, room, '\n', quietly);
        if (failed) {
            std::string why;
            if (failed == asio::error::not_found) {
                why = "a request is at most " + std::to_string(ControlRequest::most_bytes) + " bytes long";
            } else if (!received_.empty()) {
                why = timed_out_
                          ? "the request was not whole within " + std::to_string(request_time.count()) + " s"
                          : "a request ends with a newline";
            }
            if (!why.empty()) {
                const std::string last = answer_invalid(why);
                co_await write(last);
            }
            co_return;
        }
        const auto request = parse_control_request(std::string_view(received_).substr(0, length - 1));
        received_.erase(0, length);
        if (!request) {
            const std::string last = answer_invalid(request.error().text);
            co_await write(last);
            co_return;
        }
        if (!co_await answer(*request)) {
            co_return;
        }
    }
}

/// False where the client is gone.
asio::awaitable<bool> ControlSession::answer(const ControlRequest& request) {
    std::string last;
    switch (request.command) {
        case ControlRequest::Command::status: {
            DaemonStatus status = actions_.status();
            status.rates = rates_();
            last = answer_status(status);
            break;
        }
        case ControlRequest::Command::flows:
        case ControlRequest::Command::id: {
            const auto listed = co_await list(request.filter);
            if (!listed) {
                co_return false;
            }
            last = answer_flows(*listed);
            break;
        }
        case ControlRequest::Command::family:
            co_return co_await answer_family_of(*request.filter.uid);
        case ControlRequest::Command::reconcile:
            last = co_await reconcile();
            break;
        case ControlRequest::Command::rotate: {
            const auto why_not = actions_.rotate();
            last = why_not ? answer_failed(*why_not) : answer_done();
            break;
        }
        case ControlRequest::Command::reload:
            last = answer_reload(actions_.reload());
            break;
    }
    co_return co_await write(last);
}

asio::awaitable<std::string> ControlSession::reconcile() {
    const std::uint64_t ticket = actions_.reconcile();
    asio::steady_timer pause(socket_.get_executor());
    while (!actions_.reconciled(ticket)) {
        pause.expires_after(reconcile_look);
        co_await pause.async_wait(quietly);
    }
    const auto found = actions_.last_reconcile();
    co_return found ? answer_reconcile(*found)
                    : answer_failed("the kernel's flow table could not be read whole");
}

asio::awaitable<bool> ControlSession::answer_family_of(FlowUid member) {
    const FlowUid root = co_await find_root(member);
    FlowFilter family;
    family.root = root;
    const auto listed = co_await list(family);
    if (!listed) {
        co_return false;
    }
    const std::string last = answer_family(*listed, root);
    co_return co_await write(last);
}

/// The head of a flow's family; the flow itself where it lives no more, for its children still name it.
asio::awaitable<FlowUid> ControlSession::find_root(FlowUid member) {
    FlowUid root = member;
    bool found = false;
    std::size_t place = 0;
    do {
        place = pipeline_.table().visit(place, slice, [&](const FlowView& flow) {
            if (flow.flow->uid == member) {
                found = true;
                root = flow.lineage != nullptr && flow.lineage->root ? flow.lineage->root : member;
            }
        });
        co_await asio::post(socket_.get_executor(), asio::use_awaitable);
    } while (place != 0 && !found);
    co_return root;
}

/// How many were listed; empty where the client is gone.
asio::awaitable<std::optional<std::uint64_t>> ControlSession::list(const FlowFilter& filter) {
    std::uint64_t listed = 0;
    std::size_t place = 0;
    do {
        place = pipeline_.table().visit(place, slice, [&](const FlowView& flow) {
            if (filter.matches(flow)) {
                pipeline_.list(flow, lines_);
                ++listed;
            }
        });
        if (lines_.size() >= write_bytes || (place == 0 && !lines_.empty())) {
            const bool written = co_await write(lines_.bytes());
            lines_.clear();
            if (!written) {
                co_return std::nullopt;
            }
        }
        co_await asio::post(socket_.get_executor(), asio::use_awaitable);
    } while (place != 0);
    co_return listed;
}

asio::awaitable<bool> ControlSession::write(std::string_view bytes) {
    while (!bytes.empty()) {
        limit(write_time);
        const auto [failed, length] = co_await socket_.async_write_some(asio::buffer(bytes), quietly);
        if (failed) {
            co_return false;
        }
        bytes.remove_prefix(length);
    }
    co_return true;
}

/// What goes on now has so long. Replaces the limit before.
void ControlSession::limit(std::chrono::seconds time) {
    timed_out_ = false;
    deadline_.expires_after(time);
    deadline_.async_wait([self = weak_from_this()](const boost::system::error_code& replaced) {
        const auto session = self.lock();
        // A limit that ran out may be replaced before it is told.
        if (session && !replaced && session->deadline_.expiry() <= std::chrono::steady_clock::now()) {
            session->timed_out_ = true;
            session->socket_.cancel();
        }
    });
}

}  // namespace flowkin
