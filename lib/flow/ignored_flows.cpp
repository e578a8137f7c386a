// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/ignored_flows.hpp"

#include <algorithm>

namespace flowkin {

bool Subnet::contains(const Tuple& tuple, const Address& end) const {
    if (tuple.family != family) {
        return false;
    }
    const std::size_t whole_bytes = prefix_bits / 8;
    if (!std::equal(address.bytes.begin(), address.bytes.begin() + whole_bytes, end.bytes.begin())) {
        return false;
    }
    const unsigned rest = prefix_bits % 8;
    return rest == 0 || ((address.bytes[whole_bytes] ^ end.bytes[whole_bytes]) >> (8 - rest)) == 0;
}

bool IgnoreRule::matches(const Tuple& original) const {
    return (!protocol || original.protocol == *protocol) &&
           (!port || (has_ports(original.protocol) && original.destination_port == *port)) &&
           (!subnet || subnet->contains(original, original.source) ||
            subnet->contains(original, original.destination));
}

bool IgnoredFlows::matches(const Tuple& original) const {
    return std::any_of(rules_.begin(), rules_.end(),
                       [&](const IgnoreRule& rule) { return rule.matches(original); });
}

bool IgnoredFlows::matches_either_way(const Tuple& tuple) const {
    return matches(tuple) || matches(mirror(tuple));
}

}  // namespace flowkin
