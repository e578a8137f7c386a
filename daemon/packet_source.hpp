// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "netlink/interface_names.hpp"
#include "netlink/netlink_socket.hpp"
#include "socket_loss.hpp"

namespace flowkin {

/// The socket that logged packets come by. What is lost is counted twice over: by the socket, message by
/// message, and by the kernel's numbers, which also show what it could not even send; the greater is true.
class PacketSource {
  public:
    struct Opened {
        std::unique_ptr<PacketSource> source;          ///< none: no group could be bound
        bool sends_sections = false;                   ///< the kernel adds what conntrack knows
        std::vector<std::string> refused;              ///< a line for each group that is not read
        std::vector<std::vector<std::uint8_t>> early;  ///< datagrams that came meanwhile
    };
    static Opened open(boost::asio::io_context& io, std::span<const std::uint16_t> groups);
    ~PacketSource();
    PacketSource(const PacketSource&) = delete;
    PacketSource& operator=(const PacketSource&) = delete;

    Received receive() { return socket_.receive(arena_); }
    const DatagramArena& arena() const { return arena_; }

    /// To be called after what was received is read; `missing`: by the kernel's numbers, so far.
    void look(std::uint64_t missing, WallTime now);
    /// A record of what was lost since the last one.
    std::optional<LossEvent> settle(std::uint64_t missing, WallTime now);
    std::uint64_t lost() const { return loss_.total(); }

    boost::asio::posix::stream_descriptor& readable() { return readable_; }
    InterfaceNames& interface_names() { return interface_names_; }

  private:
    PacketSource(boost::asio::io_context& io, NetlinkSocket socket);
    std::uint32_t gone(std::uint64_t missing) const;

    NetlinkSocket socket_;
    boost::asio::posix::stream_descriptor readable_;  // the socket's descriptor, which stays the socket's
    DatagramArena arena_;
    SocketLoss loss_;
    InterfaceNames interface_names_;
};

}  // namespace flowkin
