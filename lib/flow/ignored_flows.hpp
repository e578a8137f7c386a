// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "flow/tuple.hpp"

namespace flowkin {

/// The addresses of one family that begin with the same bits.
struct Subnet {
    Family family = Family::ipv4;
    Address address;  ///< whatever stands behind the prefix does not matter
    unsigned prefix_bits = 32;

    bool contains(const Tuple& tuple, const Address& end) const;
};

/// What makes a flow one of no interest: all that is set must hold of its original tuple, and no more is
/// looked at, so that every message about a flow is judged alike.
struct IgnoreRule {
    std::optional<Subnet> subnet;  ///< the source's or the destination's
    std::optional<Protocol> protocol;
    std::optional<std::uint16_t> port;  ///< of the destination, in a protocol that has ports

    bool matches(const Tuple& original) const;
};

/// The flows that nobody wants to hear of ([filter] ignore). The kernel is given the same rules
/// (lib/netlink/event_filter.hpp); what comes past it, in a dump say, is held against them here.
class IgnoredFlows {
  public:
    IgnoredFlows() = default;
    explicit IgnoredFlows(std::vector<IgnoreRule> rules) : rules_(std::move(rules)) {}

    bool empty() const { return rules_.empty(); }
    std::span<const IgnoreRule> rules() const { return rules_; }

    bool matches(const Tuple& original) const;
    /// Of a packet, which may go either way in its flow.
    bool matches_either_way(const Tuple& tuple) const;

  private:
    std::vector<IgnoreRule> rules_;
};

}  // namespace flowkin
