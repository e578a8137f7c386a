// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_warnings.hpp"

namespace flowkin {

std::vector<std::string> kernel_warnings(const KernelState& kernel, std::size_t receive_buffer_bytes,
                                         std::size_t wanted_bytes) {
    std::vector<std::string> warnings;
    if (kernel.tracking == Tracking::no) {
        warnings.emplace_back(
            "nothing is tracked in this network namespace, because no rule uses conntrack: "
            "nft 'add table inet track; add chain inet track in { type filter hook prerouting priority 0; }; "
            "add rule inet track in ct state new counter'");
    }
    if (kernel.events == 0U) {
        warnings.emplace_back("conntrack sends no events: sysctl -w net.netfilter.nf_conntrack_events=1");
    } else if (kernel.events == 2U) {
        warnings.emplace_back(
            "flows born while nobody listened send no further events; only a reconcile ends them: "
            "sysctl -w net.netfilter.nf_conntrack_events=1");
    }
    if (kernel.acct == 0U) {
        warnings.emplace_back(
            "accounting is off, so no record has packets and bytes (it applies to flows created afterwards): "
            "sysctl -w net.netfilter.nf_conntrack_acct=1");
    }
    if (kernel.timestamp == 0U) {
        warnings.emplace_back(
            "timestamps are off, so times are those of arrival here (it applies to flows created "
            "afterwards): "
            "sysctl -w net.netfilter.nf_conntrack_timestamp=1");
    }
    if (receive_buffer_bytes < wanted_bytes) {
        warnings.push_back(
            "the receive buffer is " + std::to_string(receive_buffer_bytes) + " bytes and not " +
            std::to_string(wanted_bytes) +
            ", so a burst is lost sooner (CAP_NET_ADMIN in the first user namespace lifts the limit, or): "
            "sysctl -w net.core.rmem_max=" +
            std::to_string(wanted_bytes));
    }
    return warnings;
}

}  // namespace flowkin
