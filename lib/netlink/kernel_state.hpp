// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace flowkin {

/// Whether conntrack is hooked into a network namespace. It is only where something asks for it: a rule with
/// a ct match, NAT, a helper. Without that no flow is ever tracked, and no event comes.
enum class Tracking : std::uint8_t { unknown, no, yes };

/// What flowkin needs to know of the kernel it watches. What could not be read is empty.
struct KernelState {
    std::string release;                ///< uname -r
    std::optional<std::uint32_t> acct;  ///< net.netfilter.nf_conntrack_acct: flows have counters
    std::optional<std::uint32_t> timestamp;
    std::optional<std::uint32_t> events;  ///< 0 none, 1 always, 2 only of flows born while somebody listens
    std::optional<std::uint64_t> flows;   ///< nf_conntrack_count
    std::optional<std::uint64_t> flows_max;
    std::optional<std::uint64_t> receive_buffer_max_bytes;  ///< net.core.rmem_max
    Tracking tracking = Tracking::unknown;
};

/// Reads it for the calling thread's network namespace. Takes a few milliseconds; needs CAP_NET_ADMIN to know
/// about tracking where no flow is tracked right now.
KernelState read_kernel_state();

/// The same without `tracking`, which alone takes more than a moment.
KernelState read_kernel_settings();

/// How many flows the kernel's table of this network namespace holds, and how many it may.
struct KernelTableFill {
    std::optional<std::uint64_t> flows;  ///< nf_conntrack_count
    std::optional<std::uint64_t> most;   ///< nf_conntrack_max
};

/// Reads it for the calling thread's network namespace.
KernelTableFill read_kernel_table_fill();

/// net.netfilter.nf_conntrack_events as it is now.
std::optional<std::uint32_t> read_events_setting();

/// How full that is, in percent; empty where it cannot be read.
std::optional<unsigned> read_table_fill_percent();

}  // namespace flowkin
