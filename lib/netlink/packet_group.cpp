// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/packet_group.hpp"

#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace flowkin {
namespace {

/// Holds the headers of an ICMPv6 error and of the packet in it, with extension headers.
constexpr std::uint32_t copied_bytes = 256;

/// The kernel makes each message in a buffer of this size (nfulnl_alloc_skb); ours are far below it.
constexpr std::uint32_t message_bytes = 2048;

constexpr int answer_ms = 2000;

/// One message binds and sets all, so that no packet comes with other settings.
std::vector<std::uint8_t> bind_request(std::uint16_t group, std::uint16_t flags, std::uint32_t sequence) {
    std::vector<std::uint8_t> bytes(512);
    nlmsghdr* header = mnl_nlmsg_put_header(bytes.data());
    header->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    header->nlmsg_seq = sequence;
    auto* subsystem = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    subsystem->nfgen_family = AF_UNSPEC;
    subsystem->version = NFNETLINK_V0;
    subsystem->res_id = htobe16(group);
    const nfulnl_msg_config_cmd command{NFULNL_CFG_CMD_BIND};
    mnl_attr_put(header, NFULA_CFG_CMD, sizeof command, &command);
    const nfulnl_msg_config_mode mode{htobe32(copied_bytes), NFULNL_COPY_PACKET, 0};
    mnl_attr_put(header, NFULA_CFG_MODE, sizeof mode, &mode);
    mnl_attr_put_u32(header, NFULA_CFG_NLBUFSIZ, htobe32(message_bytes));
    mnl_attr_put_u32(header, NFULA_CFG_QTHRESH, htobe32(1));
    mnl_attr_put_u16(header, NFULA_CFG_FLAGS, htobe16(flags));
    bytes.resize(header->nlmsg_len);
    return bytes;
}

/// The errno that the kernel answers the request `sequence` with, 0 where all is well. What else comes goes
/// to `early`.
Result<int> await_answer(NetlinkSocket& socket, std::uint32_t sequence,
                         std::vector<std::vector<std::uint8_t>>& early) {
    std::vector<std::uint8_t> buffer(std::size_t{32} * 1024);
    while (true) {
        pollfd waiting{socket.fd(), POLLIN, 0};
        if (const int ready = ::poll(&waiting, 1, answer_ms); ready == 0) {
            return fail(Fault::other, "the kernel does not answer");
        }
        const auto received = receive_dump(socket, buffer);
        if (!received) {
            return tl::unexpected(received.error());
        }
        if (*received < sizeof(nlmsghdr) + sizeof(int)) {
            continue;
        }
        nlmsghdr header{};
        std::memcpy(&header, buffer.data(), sizeof header);
        if (header.nlmsg_type == NLMSG_ERROR && header.nlmsg_seq == sequence) {
            int code = 0;
            std::memcpy(&code, &buffer[sizeof header], sizeof code);
            return -code;
        }
        early.emplace_back(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*received));
    }
}

}  // namespace

Result<PacketGroup> bind_packet_group(NetlinkSocket& socket, std::uint16_t group) {
    const std::string name = "NFLOG group " + std::to_string(group);
    PacketGroup bound;
    std::uint32_t sequence = 0;
    for (const bool sections : {true, false}) {
        const std::uint16_t flags = NFULNL_CFG_F_SEQ | (sections ? NFULNL_CFG_F_CONNTRACK : 0);
        ++sequence;
        if (auto sent = socket.send(bind_request(group, flags, sequence)); !sent) {
            return fail(sent.error().fault, name + ": " + sent.error().text);
        }
        const auto code = await_answer(socket, sequence, bound.early);
        if (!code) {
            return fail(code.error().fault, name + ": " + code.error().text);
        }
        if (*code == 0) {
            bound.sends_sections = sections;
            return bound;
        }
        // nfulnl_recv_config() answers EPERM where the group is another socket's.
        if (*code == EPERM || *code == EBUSY) {
            return fail(Fault::other, name + " is read by another program already");
        }
        if (!sections || *code != EOPNOTSUPP) {
            return fail(Fault::other, name + ": " + std::generic_category().message(*code));
        }
    }
    return bound;
}

}  // namespace flowkin
