// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "flow/flow.hpp"
#include "state/bytes.hpp"

namespace flowkin {

/// One flow as it stands in a state file.
void put_flow(ByteWriter& out, const FlowView& view);

/// False where the bytes are no flow: cut short, or a value that no flow has.
bool take_flow(ByteReader& in, FlowRecord& record);

}  // namespace flowkin
