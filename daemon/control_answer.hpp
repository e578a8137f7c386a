// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon_status.hpp"
#include "flow/event.hpp"

/// The last line of each answer on the control socket (docs/control.md), its newline included. Flows come
/// before it, a line each.
namespace flowkin {

std::string answer_done();
std::string answer_flows(std::uint64_t listed);
/// `root`: the head of the family that was listed.
std::string answer_family(std::uint64_t listed, FlowUid root);
std::string answer_status(const DaemonStatus& status);
std::string answer_reload(const MonitorReload& reload);
std::string answer_reconcile(const ResyncCompleted& resync);

/// The client may not control this flowkin.
std::string answer_refused(std::string_view reason);
/// There is no room for one client more.
std::string answer_busy(std::string_view reason);
/// The request was not understood.
std::string answer_invalid(std::string_view reason);
/// The request was understood, and could not be fulfilled.
std::string answer_failed(std::string_view reason);

}  // namespace flowkin
