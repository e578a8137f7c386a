// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "base/result.hpp"
#include "config.hpp"
#include "listening_socket.hpp"

namespace flowkin {

/// Where the control socket is to be: [control] socket, else control.sock in the unit's RuntimeDirectory;
/// empty: there is none.
std::string control_path(const Config& config);

/// Listens there. Nobody but root and the daemon's own user may be able to put another socket in its place, so
/// the folder must be theirs, and be sticky where others can write to it. Every error is one line that says what
/// to do, Fault::input_output or Fault::permission.
Result<ListeningSocket> open_control_socket(const std::string& path);

/// Whether the process at the other end of a connection may control this one: root, our own user, or a
/// member of our group, as the kernel noted it when the connection was made (SO_PEERCRED, SO_PEERGROUPS).
bool peer_may_control(int connection);

}  // namespace flowkin
