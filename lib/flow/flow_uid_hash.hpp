// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>

#include "flow/flow.hpp"

namespace flowkin {

/// For Boost.Unordered's flat maps. A run is random, and the counter counts up: one multiplication spreads them.
struct FlowUidHash {
    using is_avalanching = void;
    std::size_t operator()(const FlowUid& uid) const { return (uid.run ^ uid.counter) * 0x9e3779b97f4a7c15; }
};

}  // namespace flowkin
