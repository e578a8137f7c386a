// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/decode.hpp"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>

#include <cstddef>
#include <limits>

#include "netlink/conntrack_message.hpp"
#include "netlink/packet_message.hpp"
#include "netlink/tuple_attribute.hpp"

namespace flowkin {
namespace {

using wire::Bytes;
using wire::Check;
using wire::load_host;

constexpr std::uint16_t message_type(unsigned subsystem, unsigned type) {
    return static_cast<std::uint16_t>(subsystem << 8 | type);
}
constexpr std::uint16_t flow_new = message_type(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW);
constexpr std::uint16_t flow_delete = message_type(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE);
constexpr std::uint16_t expectation_new = message_type(NFNL_SUBSYS_CTNETLINK_EXP, IPCTNL_MSG_EXP_NEW);
constexpr std::uint16_t expectation_delete = message_type(NFNL_SUBSYS_CTNETLINK_EXP, IPCTNL_MSG_EXP_DELETE);
constexpr std::uint16_t packet_logged = message_type(NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET);

FlowMessageKind flow_kind(const nlmsghdr& header) {
    if (header.nlmsg_type == flow_delete) {
        return FlowMessageKind::destroy;
    }
    if ((header.nlmsg_flags & NLM_F_MULTI) != 0) {
        return FlowMessageKind::dump;
    }
    return (header.nlmsg_flags & NLM_F_CREATE) != 0 ? FlowMessageKind::new_flow : FlowMessageKind::update;
}

ExpectationMessageKind expectation_kind(const nlmsghdr& header) {
    if (header.nlmsg_type == expectation_delete) {
        return ExpectationMessageKind::destroyed;
    }
    return (header.nlmsg_flags & NLM_F_MULTI) != 0 ? ExpectationMessageKind::dump
                                                   : ExpectationMessageKind::created;
}

/// The kernel's error codes are negative errnos.
int positive_errno(Bytes payload) {
    const auto code = static_cast<std::int32_t>(load_host<std::uint32_t>(payload.data()));
    if (code == std::numeric_limits<std::int32_t>::min()) {
        return std::numeric_limits<std::int32_t>::max();
    }
    return code < 0 ? -code : code;
}

/// Reads nfgenmsg, then the attributes by `read` into a fresh Message.
template <class Message, class Kind>
void decode_attributes(const nlmsghdr& header, Bytes payload, Kind kind,
                       Check (*read)(Bytes, Family, Message&), Decoded& decoded) {
    if (payload.size() < sizeof(nfgenmsg)) {
        decoded = DecodeFault::truncated_header;
        return;
    }
    const std::uint8_t family = payload[0];
    if (family != AF_INET && family != AF_INET6) {
        decoded = DecodeFault::unknown_family;
        return;
    }
    auto& message = decoded.emplace<Message>();
    message.kind = kind;
    message.port_id = header.nlmsg_pid;
    if (const Check fault = read(wire::after(payload, sizeof(nfgenmsg)),
                                 family == AF_INET ? Family::ipv4 : Family::ipv6, message)) {
        decoded = *fault;
    }
}

/// A packet of another family than IP is none of ours: a rule of a bridge or of ARP logged it.
void decode_packet(Bytes payload, Decoded& decoded, std::optional<PacketNumber>& unread) {
    nfgenmsg subsystem{};
    if (payload.size() < sizeof subsystem) {
        decoded = DecodeFault::truncated_header;
        return;
    }
    std::memcpy(&subsystem, payload.data(), sizeof subsystem);
    auto& packet = decoded.emplace<PacketMessage>();
    packet.group = wire::load_network<std::uint16_t>(payload.data() + offsetof(nfgenmsg, res_id));
    bool of_ip = true;
    const Check fault =
        wire::read_packet(wire::after(payload, sizeof subsystem), subsystem.nfgen_family, packet, of_ip);
    if (!fault && of_ip) {
        return;
    }
    if (packet.sequence) {
        unread = {packet.group, *packet.sequence};
    }
    if (fault) {
        decoded = *fault;
    } else {
        decoded = Skipped{};
    }
}

void decode_message(const nlmsghdr& header, Bytes payload, Decoded& decoded,
                    std::optional<PacketNumber>& unread_packet) {
    if ((header.nlmsg_flags & NLM_F_REQUEST) != 0) {
        decoded = Skipped{};
        return;
    }
    switch (header.nlmsg_type) {
        case flow_new:
        case flow_delete:
            decode_attributes<FlowMessage>(header, payload, flow_kind(header), wire::read_flow, decoded);
            return;
        case expectation_new:
        case expectation_delete:
            decode_attributes<ExpectationMessage>(header, payload, expectation_kind(header),
                                                  wire::read_expectation, decoded);
            return;
        case packet_logged:
            decode_packet(payload, decoded, unread_packet);
            return;
        case NLMSG_DONE:
            // A dump that failed half-way says so here, and not by NLMSG_ERROR.
            if (payload.size() >= sizeof(std::int32_t) && positive_errno(payload) != 0) {
                decoded = NetlinkError{positive_errno(payload)};
            } else {
                decoded = DumpDone{(header.nlmsg_flags & NLM_F_DUMP_INTR) != 0};
            }
            return;
        case NLMSG_ERROR:
            if (payload.size() < sizeof(std::int32_t)) {
                decoded = DecodeFault::truncated_header;
            } else {
                decoded = NetlinkError{positive_errno(payload)};
            }
            return;
        default:
            decoded = Skipped{};
            return;
    }
}

}  // namespace

std::string_view name(DecodeFault fault) {
    switch (fault) {
        case DecodeFault::truncated_header:
            return "truncated header";
        case DecodeFault::truncated_attribute:
            return "truncated attribute";
        case DecodeFault::wrong_size:
            return "attribute of wrong size";
        case DecodeFault::missing_tuple:
            return "missing tuple";
        case DecodeFault::unknown_family:
            return "unknown family";
        case DecodeFault::truncated_packet:
            return "truncated packet";
    }
    return "unknown fault";
}

bool MessageReader::next(Decoded& decoded) {
    dump_interrupted_ = false;
    unread_packet_.reset();
    if (rest_.empty()) {
        return false;
    }
    nlmsghdr header{};
    if (rest_.size() >= sizeof header) {
        std::memcpy(&header, rest_.data(), sizeof header);
    }
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest_.size()) {
        rest_ = {};
        decoded = DecodeFault::truncated_header;
        return true;
    }
    const Bytes payload = rest_.subspan(sizeof header, header.nlmsg_len - sizeof header);
    rest_ = wire::after(rest_, header.nlmsg_len);
    dump_interrupted_ = (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    decode_message(header, payload, decoded, unread_packet_);
    return true;
}

std::optional<Tuple> take_flow_tuple(std::span<const std::uint8_t>& rest) {
    nlmsghdr header{};
    if (rest.size() >= sizeof header) {
        std::memcpy(&header, rest.data(), sizeof header);
    }
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) {
        rest = {};
        return std::nullopt;
    }
    const Bytes payload = rest.subspan(sizeof header, header.nlmsg_len - sizeof header);
    rest = wire::after(rest, header.nlmsg_len);
    constexpr std::size_t before_tuple = sizeof(nfgenmsg) + sizeof(nlattr);
    if ((header.nlmsg_type != flow_new && header.nlmsg_type != flow_delete) ||
        payload.size() < before_tuple) {
        return std::nullopt;
    }
    const std::size_t length = load_host<std::uint16_t>(payload.data() + sizeof(nfgenmsg));
    const auto type = static_cast<std::uint16_t>(
        load_host<std::uint16_t>(payload.data() + sizeof(nfgenmsg) + 2) & NLA_TYPE_MASK);
    if (type != CTA_TUPLE_ORIG || length < sizeof(nlattr) || length > payload.size() - sizeof(nfgenmsg)) {
        return std::nullopt;
    }
    Tuple tuple;
    const Family family = payload[0] == AF_INET ? Family::ipv4 : Family::ipv6;
    if (wire::read_tuple(payload.subspan(before_tuple, length - sizeof(nlattr)), family, tuple)) {
        return std::nullopt;
    }
    return tuple;
}

}  // namespace flowkin
