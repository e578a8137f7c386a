// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "netlink/kernel_state.hpp"

namespace flowkin {

/// What of the kernel's settings will leave the log poorer, in plain words, each with the command that mends
/// it. `receive_buffer_bytes` is what the socket has, `wanted_bytes` what was asked for.
std::vector<std::string> kernel_warnings(const KernelState& kernel, std::size_t receive_buffer_bytes,
                                         std::size_t wanted_bytes);

}  // namespace flowkin
