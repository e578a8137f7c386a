// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/packet_class.hpp"

#include <utility>

namespace flowkin {
namespace {

constexpr std::pair<std::string_view, PrefixClass> prefix_words[] = {
    {"rejected", PrefixClass::rejected},   {"reset", PrefixClass::reset},
    {"error", PrefixClass::error},         {"invalid", PrefixClass::invalid},
    {"untracked", PrefixClass::untracked}, {"refused", PrefixClass::refused},
};

bool is_reset(const PacketMessage& packet) {
    const auto& flags = packet.headers.tcp_flags;
    return flags && flags->has(TcpFlag::rst);
}

/// An ICMP error, even where what it is about was cut off.
bool is_error(const PacketMessage& packet) {
    const PacketHeaders& headers = packet.headers;
    return packet.about || (headers.whole && is_icmp(headers.tuple.protocol) && is_icmp_error(headers.tuple));
}

bool made_here(const PacketMessage& packet) {
    return packet.hook == PacketHook::output || (packet.hook == PacketHook::postrouting && packet.in == 0);
}

/// What net/ipv4/netfilter/nf_reject_ipv4.c and nf_reject_ipv6.c may send and routing does not: a port or
/// protocol that is not reached, and whatever is prohibited.
bool is_of_a_rule(const IcmpFields& icmp, Protocol protocol) {
    if (protocol == Protocol::icmp) {
        return icmp.type == 3 &&
               (icmp.code == 2 || icmp.code == 3 || icmp.code == 9 || icmp.code == 10 || icmp.code == 13);
    }
    return icmp.type == 1 && (icmp.code == 1 || icmp.code == 4 || icmp.code == 5 || icmp.code == 6);
}

bool is_unreachable(const IcmpFields& icmp, Protocol protocol) {
    return icmp.type == (protocol == Protocol::icmp ? 3 : 1);
}

/// The addressee itself says that nobody is at that port, and nobody ever was: no rule is needed for that.
bool is_of_a_closed_port(const PacketMessage& packet, const PacketSetting& setting) {
    return packet.about && packet.headers.tuple.source == packet.about->tuple.destination &&
           packet.about->tuple.protocol != Protocol::tcp && setting.flow_lives && !setting.flow_was_answered;
}

PacketAction classify_error(const PacketMessage& packet, const PacketSetting& setting) {
    const Tuple& tuple = packet.headers.tuple;
    if (!made_here(packet)) {
        return PacketAction::error;
    }
    if (setting.answers_refused && is_unreachable(tuple.icmp(), tuple.protocol)) {
        return PacketAction::rejected;
    }
    return is_of_a_rule(tuple.icmp(), tuple.protocol) && !is_of_a_closed_port(packet, setting)
               ? PacketAction::rejected
               : PacketAction::error;
}

PacketAction classify_by_conntrack(const PacketMessage& packet, ConntrackInfo info,
                                   const PacketSetting& setting) {
    if (packet.flow && packet.flow->status && packet.flow->status->has(StatusBit::untracked)) {
        return PacketAction::invalid;
    }
    const bool related = info == ConntrackInfo::related || info == ConntrackInfo::related_reply;
    if (is_reset(packet)) {
        return related ? PacketAction::rejected : PacketAction::reset;
    }
    return related && is_error(packet) ? classify_error(packet, setting) : PacketAction::logged;
}

/// By its headers alone. A RST made here may be a rule's or this host's own: only a refused packet tells.
PacketAction classify_by_headers(const PacketMessage& packet, const PacketSetting& setting) {
    if (setting.kernel_sends_sections) {
        return PacketAction::invalid;
    }
    if (is_error(packet)) {
        return classify_error(packet, setting);
    }
    if (!is_reset(packet)) {
        return PacketAction::logged;
    }
    if (made_here(packet)) {
        return setting.answers_refused ? PacketAction::rejected : PacketAction::logged;
    }
    return PacketAction::reset;
}

}  // namespace

PrefixClass prefix_class(std::string_view prefix) {
    constexpr std::string_view ours = "flowkin:";
    if (!prefix.starts_with(ours)) {
        return PrefixClass::none;
    }
    prefix.remove_prefix(ours.size());
    const std::string_view word = prefix.substr(0, prefix.find(' '));
    for (const auto& [known, meaning] : prefix_words) {
        if (word == known) {
            return meaning;
        }
    }
    return PrefixClass::none;
}

PacketAction classify(const PacketMessage& packet, const PacketSetting& setting) {
    if (packet.info) {
        return classify_by_conntrack(packet, *packet.info, setting);
    }
    switch (prefix_class(packet.prefix.view())) {
        case PrefixClass::rejected:
            return is_error(packet) ? classify_error(packet, setting) : PacketAction::rejected;
        case PrefixClass::reset:
            return PacketAction::reset;
        case PrefixClass::error:
            return PacketAction::error;
        case PrefixClass::invalid:
        case PrefixClass::untracked:
            return PacketAction::invalid;
        case PrefixClass::refused:
        case PrefixClass::none:
            break;
    }
    return classify_by_headers(packet, setting);
}

std::optional<PacketState> state_of(const PacketMessage& packet, PacketAction action) {
    if (packet.info) {
        if (action == PacketAction::invalid) {
            return PacketState::untracked;
        }
        switch (*packet.info) {
            case ConntrackInfo::established:
            case ConntrackInfo::established_reply:
                return PacketState::established;
            case ConntrackInfo::related:
            case ConntrackInfo::related_reply:
                return PacketState::related;
            case ConntrackInfo::new_flow:
                return PacketState::new_flow;
        }
    }
    switch (prefix_class(packet.prefix.view())) {
        case PrefixClass::rejected:
        case PrefixClass::error:
            return PacketState::related;
        case PrefixClass::reset:
            return PacketState::established;
        case PrefixClass::invalid:
            return PacketState::invalid;
        case PrefixClass::untracked:
            return PacketState::untracked;
        case PrefixClass::refused:
        case PrefixClass::none:
            break;
    }
    return std::nullopt;
}

PacketDirection direction_of(ConntrackInfo info) {
    switch (info) {
        case ConntrackInfo::established_reply:
        case ConntrackInfo::related_reply:
            return PacketDirection::reply;
        case ConntrackInfo::established:
        case ConntrackInfo::related:
        case ConntrackInfo::new_flow:
            break;
    }
    return PacketDirection::original;
}

}  // namespace flowkin
