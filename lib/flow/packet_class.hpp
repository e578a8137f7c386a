// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string_view>

#include "flow/event.hpp"

/// What a logged packet is: an answer that a rule made, an endpoint's own, an error of the network, or one
/// that belongs to no flow.
///
/// An answer of a REJECT rule cannot be told from an endpoint's by its headers. Conntrack tells them apart:
/// REJECT's answer is RELATED to the flow that it answers, an endpoint's RST is part of its flow
/// (ESTABLISHED). Where the kernel does not say which (no conntrack section), the rule that logged the packet
/// does, by its prefix.
///
/// ICMP errors are RELATED whoever makes them. One that this host makes is a rule's, unless the host makes
/// the same without any rule: for a route that is missing, for a packet that is too long or too old, for a
/// UDP port of its own that is closed.
namespace flowkin {

/// The class that a rule's prefix names: "flowkin:rejected", "flowkin:reset", "flowkin:error",
/// "flowkin:invalid", "flowkin:untracked"; what follows the word after a blank is the operator's.
/// "flowkin:refused" names a packet that the next rule refuses.
enum class PrefixClass : std::uint8_t { none, rejected, reset, error, invalid, untracked, refused };
PrefixClass prefix_class(std::string_view prefix);

/// What is known beside the packet itself.
struct PacketSetting {
    bool kernel_sends_sections = false;  ///< so a packet without one belongs to no flow
    bool flow_lives = false;             ///< its flow is confirmed
    bool flow_was_answered = false;      ///< its flow has seen a reply
    bool answers_refused = false;        ///< a packet that was to be refused was logged, and this answers it
};

PacketAction classify(const PacketMessage& packet, const PacketSetting& setting);
std::optional<PacketState> state_of(const PacketMessage& packet, PacketAction action);

/// By the conntrack section alone.
PacketDirection direction_of(ConntrackInfo info);

}  // namespace flowkin
