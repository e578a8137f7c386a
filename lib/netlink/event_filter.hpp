// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.hpp"
#include "flow/ignored_flows.hpp"

namespace flowkin {

/// Classic BPF that the kernel runs over each message before it takes room in a socket's buffer: conntrack
/// messages of ignored flows are passed over, and count nowhere. All else goes through, and so does whatever
/// the program cannot read: then user space decides.
std::vector<sock_filter> event_filter_program(const IgnoredFlows& ignored);

/// Gives the socket that filter in place of any other; without rules, none. What is queued already stays.
/// More rules than the kernel has room for (net.core.optmem_max) are Fault::other.
Result<void> set_event_filter(int fd, const IgnoredFlows& ignored);

}  // namespace flowkin
