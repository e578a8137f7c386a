// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "base/result.hpp"

namespace flowkin {

/// Moves the calling thread, and the threads it starts from now on, into a network namespace: a name of `ip
/// netns` or an absolute path. Sockets, and what /proc/sys/net shows, are then that namespace's.
Result<void> enter_network_namespace(const std::string& name_or_path);

}  // namespace flowkin
