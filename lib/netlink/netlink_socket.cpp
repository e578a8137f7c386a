// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/netlink_socket.hpp"

#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <limits>
#include <optional>
#include <system_error>

namespace flowkin {
namespace {

constexpr std::array<int, 3> conntrack_groups = {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE,
                                                 NFNLGRP_CONNTRACK_DESTROY};
constexpr std::array<int, 2> expectation_groups = {NFNLGRP_CONNTRACK_EXP_NEW, NFNLGRP_CONNTRACK_EXP_DESTROY};

tl::unexpected<Error> fail_by_errno(const std::string& doing) {
    const int code = errno;
    const Fault fault = code == EPERM || code == EACCES ? Fault::permission : Fault::input_output;
    return fail(fault, doing + ": " + std::generic_category().message(code));
}

template <class T>
bool set_option(int fd, int level, int name, const T& value) {
    return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

std::optional<int> option(int fd, int level, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    if (::getsockopt(fd, level, name, &value, &length) != 0) {
        return std::nullopt;
    }
    return value;
}

/// SO_RCVBUFFORCE takes CAP_NET_ADMIN of the first user namespace; without it net.core.rmem_max bounds the
/// buffer.
void size_receive_buffer(int fd, std::size_t bytes) {
    const int wanted = static_cast<int>(std::min<std::size_t>(bytes, std::numeric_limits<int>::max() / 2));
    if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, wanted)) {
        set_option(fd, SOL_SOCKET, SO_RCVBUF, wanted);
    }
}

Result<void> join(int fd, std::span<const int> groups) {
    for (const int group : groups) {
        if (set_option(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)) {
            continue;
        }
        if (errno == EPERM) {
            return fail(Fault::permission,
                        "joining the conntrack groups needs CAP_NET_ADMIN (run as root, or: "
                        "AmbientCapabilities=CAP_NET_ADMIN in the unit)");
        }
        return fail_by_errno("joining conntrack group " + std::to_string(group));
    }
    return {};
}

sockaddr_nl kernel_address() {
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    return address;
}

sockaddr* generic(sockaddr_nl& address) {
    return reinterpret_cast<sockaddr*>(&address);
}

}  // namespace

struct DatagramArena::Memory {
    std::array<mmsghdr, batch> headers{};
    std::array<iovec, batch> parts{};
    std::array<sockaddr_nl, batch> senders{};
    std::array<std::span<const std::uint8_t>, batch> datagrams{};
    std::size_t size = 0;
    alignas(64) std::array<std::uint8_t, batch * slot_bytes> bytes;  ///< written before it is read

    Memory() {
        for (std::size_t slot = 0; slot < batch; ++slot) {
            parts[slot] = {&bytes[slot * slot_bytes], slot_bytes};
            headers[slot].msg_hdr.msg_name = &senders[slot];
            headers[slot].msg_hdr.msg_iov = &parts[slot];
            headers[slot].msg_hdr.msg_iovlen = 1;
        }
    }
};

DatagramArena::DatagramArena() : memory_(std::make_unique<Memory>()) {}
DatagramArena::~DatagramArena() = default;

std::size_t DatagramArena::size() const {
    return memory_->size;
}

std::span<const std::uint8_t> DatagramArena::operator[](std::size_t index) const {
    assert(index < memory_->size);
    return memory_->datagrams[index];
}

std::span<const std::span<const std::uint8_t>> DatagramArena::datagrams() const {
    return {memory_->datagrams.data(), memory_->size};
}

Result<NetlinkSocket> NetlinkSocket::open(Groups groups, std::size_t receive_buffer_bytes) {
    NetlinkSocket opened{
        UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER))};
    if (!opened.fd_) {
        return fail_by_errno("opening a netlink socket of netfilter");
    }
    if (receive_buffer_bytes != 0) {
        size_receive_buffer(opened.fd(), receive_buffer_bytes);
    }
    sockaddr_nl address = kernel_address();
    if (::bind(opened.fd(), generic(address), sizeof address) != 0) {
        return fail_by_errno("binding a netlink socket of netfilter");
    }
    Result<void> joined;
    if (groups != Groups::none) {
        joined = join(opened.fd(), conntrack_groups);
    }
    if (joined && groups == Groups::conntrack_and_expectations) {
        joined = join(opened.fd(), expectation_groups);
    }
    if (!joined) {
        return tl::unexpected<Error>(joined.error());
    }
    return opened;
}

Result<NetlinkSocket> NetlinkSocket::adopt(UniqueFd fd) {
    if (option(fd.get(), SOL_SOCKET, SO_DOMAIN) != AF_NETLINK ||
        option(fd.get(), SOL_SOCKET, SO_PROTOCOL) != NETLINK_NETFILTER) {
        return fail(Fault::other,
                    "descriptor " + std::to_string(fd.get()) + " is not a netlink socket of netfilter");
    }
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
        ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) {
        return fail_by_errno("taking over descriptor " + std::to_string(fd.get()));
    }
    return NetlinkSocket(std::move(fd));
}

std::size_t NetlinkSocket::receive_buffer_bytes() const {
    return static_cast<std::size_t>(option(fd(), SOL_SOCKET, SO_RCVBUF).value_or(0));
}

Received NetlinkSocket::receive(DatagramArena& arena) {
    DatagramArena::Memory& memory = *arena.memory_;
    memory.size = 0;
    for (mmsghdr& header : memory.headers) {
        header.msg_hdr.msg_namelen = sizeof(sockaddr_nl);
    }

    Received received;
    int count = 0;
    do {
        count = ::recvmmsg(fd(), memory.headers.data(), DatagramArena::batch, MSG_DONTWAIT, nullptr);
        // An overrun is reported once, before what is still queued.
        received.overrun = received.overrun || (count < 0 && errno == ENOBUFS);
    } while (count < 0 && (errno == ENOBUFS || errno == EINTR));
    if (count < 0) {
        received.error = errno == EAGAIN || errno == EWOULDBLOCK ? 0 : errno;
        return received;
    }

    for (std::size_t slot = 0; slot < static_cast<std::size_t>(count); ++slot) {
        const mmsghdr& header = memory.headers[slot];
        if (memory.senders[slot].nl_pid != 0) {
            ++received.not_kernel;
        } else if ((header.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
            ++received.cut;
        } else {
            memory.datagrams[memory.size++] = {&memory.bytes[slot * DatagramArena::slot_bytes],
                                               header.msg_len};
        }
    }
    received.datagrams = memory.size;
    return received;
}

std::uint32_t NetlinkSocket::dropped() const {
    std::array<std::uint32_t, SK_MEMINFO_VARS> meminfo{};
    socklen_t length = sizeof meminfo;
    if (::getsockopt(fd(), SOL_SOCKET, SO_MEMINFO, meminfo.data(), &length) != 0) {
        return 0;
    }
    return meminfo[SK_MEMINFO_DROPS];
}

Result<void> NetlinkSocket::set_no_enobufs(bool on) {
    if (!set_option(fd(), SOL_NETLINK, NETLINK_NO_ENOBUFS, static_cast<int>(on))) {
        return fail_by_errno("setting NETLINK_NO_ENOBUFS");
    }
    return {};
}

Result<void> NetlinkSocket::set_broadcast_error(bool on) {
    if (!set_option(fd(), SOL_NETLINK, NETLINK_BROADCAST_ERROR, static_cast<int>(on))) {
        return fail_by_errno("setting NETLINK_BROADCAST_ERROR");
    }
    return {};
}

Result<void> NetlinkSocket::send(std::span<const std::uint8_t> request) {
    sockaddr_nl address = kernel_address();
    const ssize_t sent = ::sendto(fd(), request.data(), request.size(), 0, generic(address), sizeof address);
    if (sent < 0) {
        return fail_by_errno("sending a request to the kernel");
    }
    return {};
}

std::vector<std::uint8_t> flow_dump_request(std::uint32_t sequence) {
    struct Request {
        nlmsghdr header;
        nfgenmsg subsystem;
    } request{};
    static_assert(sizeof request == sizeof(nlmsghdr) + sizeof(nfgenmsg));
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.header.nlmsg_seq = sequence;
    request.subsystem.nfgen_family = AF_UNSPEC;  // both
    request.subsystem.version = NFNETLINK_V0;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
    return {bytes, bytes + sizeof request};
}

Result<std::size_t> receive_dump(NetlinkSocket& socket, std::span<std::uint8_t> buffer) {
    while (true) {
        sockaddr_nl sender{};
        iovec part{buffer.data(), buffer.size()};
        msghdr header{};
        header.msg_name = &sender;
        header.msg_namelen = sizeof sender;
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        const ssize_t bytes = ::recvmsg(socket.fd(), &header, MSG_DONTWAIT);
        if (bytes < 0 && errno == EINTR) {
            continue;
        }
        if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return std::size_t{0};
        }
        if (bytes < 0) {
            return fail_by_errno("receiving a dump");
        }
        if (sender.nl_pid != 0) {
            continue;
        }
        if ((header.msg_flags & MSG_TRUNC) != 0) {
            return fail(Fault::input_output, "receiving a dump: a datagram was longer than the buffer");
        }
        return static_cast<std::size_t>(bytes);
    }
}

}  // namespace flowkin
