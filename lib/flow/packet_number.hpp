// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

namespace flowkin {

/// A packet's number in its group: the kernel gives one to each packet that it logs, so a gap is a loss.
struct PacketNumber {
    std::uint16_t group = 0;
    std::uint32_t sequence = 0;
};

}  // namespace flowkin
