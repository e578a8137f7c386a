// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace flowkin {

/// A fixed arena that one recvmmsg() fills: `batch` slots, each large enough for the largest event message
/// the kernel makes. Reused for ever, never grown.
class DatagramArena {
  public:
    static constexpr std::size_t batch = 128;
    /// An event message is below 1,400 bytes with every attribute set; what is longer is cut and counted. No
    /// power of two: 128 slots that start in the same few cache sets would evict one another.
    static constexpr std::size_t slot_bytes = 4096 + 192;

    DatagramArena();
    ~DatagramArena();
    DatagramArena(const DatagramArena&) = delete;
    DatagramArena& operator=(const DatagramArena&) = delete;

    /// The datagrams of the last receive.
    std::size_t size() const;
    std::span<const std::uint8_t> operator[](std::size_t index) const;
    std::span<const std::span<const std::uint8_t>> datagrams() const;

  private:
    friend class NetlinkSocket;
    struct Memory;
    std::unique_ptr<Memory> memory_;
};

/// What one receive gave.
struct Received {
    std::size_t datagrams = 0;   ///< in the arena
    std::size_t cut = 0;         ///< longer than a slot, not in the arena
    std::size_t not_kernel = 0;  ///< refused: the sender was not the kernel (nl_pid != 0)
    bool overrun = false;        ///< ENOBUFS: see NetlinkSocket::dropped()
    int error = 0;               ///< errno of anything else but EAGAIN; the socket is of no more use
};

/// A socket of NETLINK_NETFILTER. Owns its descriptor (non-blocking, close-on-exec), knows no event loop.
class NetlinkSocket {
  public:
    enum class Groups : std::uint8_t {
        none,                        ///< for requests
        conntrack,                   ///< NEW, UPDATE, DESTROY
        conntrack_and_expectations,  ///< these and the expectations' NEW, DESTROY, on one socket: order is
                                     ///< kept
    };

    /// Opens, sizes the buffer, then joins the groups. EPERM is Fault::permission and the text says which
    /// capability is missing. `receive_buffer_bytes` 0: the system's default.
    static Result<NetlinkSocket> open(Groups groups, std::size_t receive_buffer_bytes);

    /// Takes over a socket that a service manager kept: its groups, its buffer and what is queued in it stay
    /// as they are. Anything but a socket of NETLINK_NETFILTER is Fault::other.
    static Result<NetlinkSocket> adopt(UniqueFd fd);

    int fd() const { return fd_.get(); }

    /// What the kernel really gave (SO_RCVBUF as read back, which counts its own overhead: about 1,285 bytes
    /// an event). SO_RCVBUFFORCE was tried first, then SO_RCVBUF, which net.core.rmem_max bounds.
    std::size_t receive_buffer_bytes() const;

    /// One recvmmsg() that does not wait.
    Received receive(DatagramArena& arena);

    /// Messages that the kernel could not put into this socket's buffer since it was opened: exact
    /// (SO_MEMINFO, SK_MEMINFO_DROPS; net/core/sock.c, since Linux 4.6).
    std::uint32_t dropped() const;

    /// NETLINK_NO_ENOBUFS: an overrun is not reported any more, and what has room again is delivered at once.
    /// Without it (the default) the kernel delivers nothing after an overrun until the buffer was read empty:
    /// losses come in one stretch. dropped() is exact in both modes.
    Result<void> set_no_enobufs(bool on);

    /// NETLINK_BROADCAST_ERROR: the kernel keeps a flow whose DESTROY found no room, and tries again. No
    /// DESTROY is lost, but the waiting flows count against nf_conntrack_max: a reader that hangs can fill
    /// the firewall's table. dropped() then counts each try.
    Result<void> set_broadcast_error(bool on);

    Result<void> send(std::span<const std::uint8_t> request);

  private:
    explicit NetlinkSocket(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

/// The request for a dump of all flows of both families, as IPCTNL_MSG_CT_GET takes it.
std::vector<std::uint8_t> flow_dump_request(std::uint32_t sequence);

/// One plain recv() of a dump's answer into `buffer` (32 KiB or more), which does not wait: the bytes
/// received, 0 where there is nothing yet. ENOBUFS and all else are errors.
Result<std::size_t> receive_dump(NetlinkSocket& socket, std::span<std::uint8_t> buffer);

}  // namespace flowkin
