// SPDX-License-Identifier: GPL-2.0-or-later
#include "event_source.hpp"

#include <spdlog/spdlog.h>

#include <utility>

#include "clock.hpp"
#include "ignore_entry.hpp"
#include "netlink/event_filter.hpp"
#include "service.hpp"

namespace flowkin {

EventSource::EventSource(NetlinkSocket socket, const StateOrigin& origin, bool inherited)
    : socket_(std::move(socket)), origin_(origin), inherited_(inherited), loss_(socket_.dropped()) {}

Result<EventSource> EventSource::open(const Config& config) {
    const WallTime opened = wall_clock_now();
    auto fresh = NetlinkSocket::open(NetlinkSocket::Groups::none, 0);
    if (!fresh) {
        return tl::unexpected(fresh.error());
    }
    const auto origin = read_state_origin(fresh->fd());
    if (!origin) {
        return tl::unexpected(origin.error());
    }
    auto socket = Result<NetlinkSocket>(tl::unexpected(Error{}));
    bool inherited = false;
    if (UniqueFd stored = Service::take_stored_socket(); stored) {
        socket = NetlinkSocket::adopt(std::move(stored));
        if (socket) {
            const auto its = read_state_origin(socket->fd());
            inherited = its && *its == *origin;
        }
        if (!inherited) {
            spdlog::warn(
                "the stored socket is of no use (another namespace, or no conntrack socket): a new one is "
                "opened");
        }
    }
    if (!inherited) {
        socket = NetlinkSocket::open(NetlinkSocket::Groups::conntrack_and_expectations,
                                     config.conntrack.receive_buffer_bytes);
    }
    if (!socket) {
        return tl::unexpected(socket.error());
    }
    EventSource source(std::move(*socket), *origin, inherited);
    source.heard_until_ = opened;
    source.loss_.whole(opened);
    if (auto set = source.socket_.set_no_enobufs(config.conntrack.no_enobufs); !set) {
        return tl::unexpected(set.error());
    }
    const IgnoredFlows ignored(ignore_rules(config.filter.ignore));
    if (auto set = set_event_filter(source.socket_.fd(), ignored); !set) {
        spdlog::warn(
            "{}: events of ignored flows take room in the socket, and are passed over once they are read",
            set.error().text);
    }
    return source;
}

EventSource::Batch EventSource::receive(DatagramArena& arena, WallTime now) {
    const Received received = socket_.receive(arena);
    // The kernel says it once for many drops, and with NETLINK_NO_ENOBUFS never: its counter tells of each.
    const bool lost = loss_.look(socket_.dropped()) || received.overrun;
    if (lost) {
        loss_.overrun();
    }
    cut_ += received.cut;
    not_kernel_ += received.not_kernel;
    loss_.whole(now);
    if (received.datagrams != 0) {
        last_event_ = now;
    }
    const std::size_t taken = received.datagrams + received.cut + received.not_kernel;
    if (taken < DatagramArena::batch) {
        heard_until_ = now;  // it was read empty
    }
    return {.taken = taken, .lost = lost, .error = received.error};
}

std::optional<LossEvent> EventSource::settle() {
    const WallTime before = wall_clock_now();
    const std::uint32_t dropped = socket_.dropped();
    return loss_.settle(dropped, before, wall_clock_now());
}

}  // namespace flowkin
