// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "flow/flow.hpp"
#include "json/line_writer.hpp"

namespace flowkin {

/// Members that flow and expectation records share, each with a comma before it and inside an open object.

/// `zone` and `zone_direction`; nothing for zone 0.
void put_zone(LineWriter& line, Zone zone);

/// `parent` by its uid, or by `tuple` where it was never met; `lineage` where the root is known.
void put_kin(LineWriter& line, const Lineage& lineage, const Tuple& tuple);

}  // namespace flowkin
