// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/packet_message.hpp"

#include <linux/if_ether.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>

#include <limits>

#include "netlink/conntrack_message.hpp"

namespace flowkin::wire {
namespace {

Check read_packet_header(Bytes payload, std::uint16_t& ether_type, std::optional<PacketHook>& hook) {
    if (payload.size() != sizeof(nfulnl_msg_packet_hdr)) {
        return DecodeFault::wrong_size;
    }
    ether_type = load_network<std::uint16_t>(payload.data() + offsetof(nfulnl_msg_packet_hdr, hw_protocol));
    const std::uint8_t number = payload[offsetof(nfulnl_msg_packet_hdr, hook)];
    if (number <= static_cast<std::uint8_t>(PacketHook::postrouting)) {
        hook = static_cast<PacketHook>(number);
    }
    return {};
}

/// Seconds and microseconds. What no clock gives says nothing.
Check read_received(Bytes payload, std::optional<WallTime>& received) {
    if (payload.size() != sizeof(nfulnl_msg_packet_timestamp)) {
        return DecodeFault::wrong_size;
    }
    constexpr std::uint64_t last_second = std::numeric_limits<std::int64_t>::max() / 1'000'000'000 - 1;
    const auto second = load_network<std::uint64_t>(payload.data());
    const auto microsecond = load_network<std::uint64_t>(payload.data() + sizeof(std::uint64_t));
    if (second != 0 && second <= last_second && microsecond < 1'000'000) {
        received = WallTime(nanoseconds(second * 1'000'000'000 + microsecond * 1'000));
    }
    return {};
}

/// A prefix ends with its NUL.
Check read_prefix(Bytes payload, LogPrefix& prefix) {
    if (payload.empty() || payload.back() != 0) {
        return DecodeFault::wrong_size;
    }
    const auto end = std::find(payload.begin(), payload.end(), std::uint8_t{0});
    prefix = LogPrefix(
        {reinterpret_cast<const char*>(payload.data()), static_cast<std::size_t>(end - payload.begin())});
    return {};
}

Check read_info(Bytes payload, std::optional<ConntrackInfo>& info) {
    std::uint32_t number = 0;
    const Check fault = read(payload, number);
    if (!fault && number <= static_cast<std::uint32_t>(ConntrackInfo::related_reply)) {
        info = static_cast<ConntrackInfo>(number);
    }
    return fault;
}

std::optional<Family> family_of(std::uint8_t family, std::uint16_t ether_type) {
    if (family == AF_INET || (family != AF_INET6 && ether_type == ETH_P_IP)) {
        return Family::ipv4;
    }
    if (family == AF_INET6 || ether_type == ETH_P_IPV6) {
        return Family::ipv6;
    }
    return std::nullopt;
}

}  // namespace

Check read_packet(Bytes attributes, std::uint8_t family, PacketMessage& packet, bool& of_ip) {
    std::uint16_t ether_type = 0;
    Bytes bytes;
    Bytes section;
    const Check fault = for_each_attribute(attributes, [&](const Attribute& attribute) -> Check {
        const Bytes payload = attribute.payload;
        switch (attribute.type) {
            case NFULA_PACKET_HDR:
                return read_packet_header(payload, ether_type, packet.hook);
            case NFULA_MARK:
                return read(payload, packet.mark);
            case NFULA_TIMESTAMP:
                return read_received(payload, packet.received);
            case NFULA_IFINDEX_INDEV:
                return read(payload, packet.in);
            case NFULA_IFINDEX_OUTDEV:
                return read(payload, packet.out);
            case NFULA_PAYLOAD:
                bytes = payload;
                return {};
            case NFULA_PREFIX:
                return read_prefix(payload, packet.prefix);
            case NFULA_SEQ:
                return read(payload, packet.sequence);
            case NFULA_CT:
                section = payload;
                return {};
            case NFULA_CT_INFO:
                return read_info(payload, packet.info);
            default:
                return {};
        }
    });
    if (fault) {
        return fault;
    }
    const auto ip = family_of(family, ether_type);
    of_ip = ip.has_value();
    if (!ip) {
        return {};
    }
    if (!read_headers(bytes, *ip, packet.headers, packet.about)) {
        return DecodeFault::truncated_packet;
    }
    if (section.empty()) {
        return {};
    }
    FlowMessage& flow = packet.flow.emplace();
    flow.kind = FlowMessageKind::dump;
    return read_flow(section, *ip, flow);
}

}  // namespace flowkin::wire
