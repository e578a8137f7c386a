// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "netlink/kernel_state.hpp"

namespace flowkin {

/// Whether conntrack is hooked into the calling thread's network namespace, by what the kernel lists: its
/// hooks where it can list them (nfnetlink_hook, in stock kernels since 5.14), else the rules that would hook
/// it.
///
/// `flows`: how many are tracked now; one is proof enough.
Tracking find_tracking(std::optional<std::uint64_t> flows);

}  // namespace flowkin
