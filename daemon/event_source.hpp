// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "config.hpp"
#include "netlink/netlink_socket.hpp"
#include "socket_loss.hpp"
#include "state/state_file.hpp"

namespace flowkin {

/// The socket that events come from, with what was lost on it.
///
/// It may be the one that an earlier process of this unit left with the service manager: then what the kernel
/// said meanwhile is queued in it.
class EventSource {
  public:
    static Result<EventSource> open(const Config& config);

    /// One batch. True in `lost` where the kernel had no room for something since the last look.
    struct Batch {
        std::size_t taken = 0;  ///< datagrams, also those that were of no use
        bool lost = false;
        int error = 0;  ///< an errno: the socket is of no more use
    };
    Batch receive(DatagramArena& arena, WallTime now);

    /// A record of what was lost since the last one.
    std::optional<LossEvent> settle();

    NetlinkSocket& socket() { return socket_; }
    const NetlinkSocket& socket() const { return socket_; }
    SocketLoss& loss() { return loss_; }
    const SocketLoss& loss() const { return loss_; }
    /// All that the kernel said before this was read, but for what is declared lost.
    WallTime heard_until() const { return heard_until_; }
    void heard_until(WallTime time) { heard_until_ = time; }
    /// When the kernel last said something; the epoch: not yet.
    WallTime last_event() const { return last_event_; }
    const StateOrigin& origin() const { return origin_; }
    bool inherited() const { return inherited_; }
    std::uint64_t cut() const { return cut_; }                ///< longer than any message the kernel makes
    std::uint64_t not_kernel() const { return not_kernel_; }  ///< sent by another program, and refused

  private:
    EventSource(NetlinkSocket socket, const StateOrigin& origin, bool inherited);

    NetlinkSocket socket_;
    StateOrigin origin_;
    bool inherited_;
    SocketLoss loss_;
    WallTime heard_until_{};
    WallTime last_event_{};
    std::uint64_t cut_ = 0;
    std::uint64_t not_kernel_ = 0;
};

}  // namespace flowkin
