// SPDX-License-Identifier: GPL-2.0-or-later
#include "packet_source.hpp"

#include <algorithm>
#include <utility>

#include "clock.hpp"
#include "netlink/packet_group.hpp"

namespace flowkin {
namespace {

/// Room for some tens of thousands of packets: a rule chooses them, so they are fewer than events.
constexpr std::size_t receive_buffer_bytes = 16U << 20U;

}  // namespace

PacketSource::Opened PacketSource::open(boost::asio::io_context& io, std::span<const std::uint16_t> groups) {
    Opened opened;
    auto socket = NetlinkSocket::open(NetlinkSocket::Groups::none, receive_buffer_bytes);
    if (!socket) {
        opened.refused.push_back("packets are not read: " + socket.error().text);
        return opened;
    }
    (void)socket->set_no_enobufs(true);
    bool any = false;
    for (const std::uint16_t group : groups) {
        auto bound = bind_packet_group(*socket, group);
        if (!bound) {
            opened.refused.push_back(bound.error().text + "; flowkin goes on without it");
            continue;
        }
        any = true;
        opened.sends_sections = opened.sends_sections || bound->sends_sections;
        std::move(bound->early.begin(), bound->early.end(), std::back_inserter(opened.early));
    }
    if (any) {
        opened.source.reset(new PacketSource(io, std::move(*socket)));
    }
    return opened;
}

PacketSource::PacketSource(boost::asio::io_context& io, NetlinkSocket socket)
    : socket_(std::move(socket)), readable_(io, socket_.fd()), loss_(0) {
    loss_.whole(wall_clock_now());
}

PacketSource::~PacketSource() {
    readable_.release();
}

std::uint32_t PacketSource::gone(std::uint64_t missing) const {
    return std::max(socket_.dropped(), static_cast<std::uint32_t>(missing));
}

void PacketSource::look(std::uint64_t missing, WallTime now) {
    if (loss_.look(gone(missing))) {
        loss_.overrun();
    }
    loss_.whole(now);
}

std::optional<LossEvent> PacketSource::settle(std::uint64_t missing, WallTime now) {
    auto loss = loss_.settle(gone(missing), now, now);
    if (loss) {
        loss->source = LossSource::packets;
    }
    return loss;
}

}  // namespace flowkin
