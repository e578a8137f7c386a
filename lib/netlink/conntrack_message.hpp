// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "netlink/attributes.hpp"

namespace flowkin::wire {

/// Reads the attributes of a flow's message into `message`, whose kind and port id are already set and whose
/// other members are fresh.
Check read_flow(Bytes attributes, Family family, FlowMessage& message);

/// The same for an expectation.
Check read_expectation(Bytes attributes, Family family, ExpectationMessage& message);

}  // namespace flowkin::wire
