// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "flow/flow_table.hpp"

namespace flowkin {

/// Runs some messages ahead of the reader, and has the table fetch what each of them will touch. With many flows
/// that is nowhere near the processor: to wait for it would cost more than all else that an event takes.
///
/// A message is looked at twice: first for the place of its key in the index, and, when that has come, for the flow
/// that stands there. What is guessed wrong costs nothing but the time it was meant to save.
class LookAhead {
  public:
    using Datagram = std::span<const std::uint8_t>;

    explicit LookAhead(const FlowTable& table) : table_(table) {}

    /// The datagrams that are read next. They must last until the last step().
    void begin(std::span<const Datagram> datagrams);

    /// The reader goes on by one message: so does this.
    void step() {
        if (ahead_ != 0) {
            look();
        }
    }

  private:
    /// How far the first look is ahead, and the second: each as long as memory takes, some 100 ns, and no longer than
    /// the processor remembers what it asked for.
    static constexpr std::size_t distance = 8;
    static constexpr std::size_t flow_distance = 4;
    /// With less than this there is nothing to gain.
    static constexpr std::size_t least_bytes = 2048;

    void look();
    std::optional<std::uint64_t> next_hash();

    const FlowTable& table_;
    std::span<const Datagram> datagrams_;
    Datagram rest_;
    std::array<std::optional<std::uint64_t>, distance> hashes_{};  ///< of the messages ahead, as a ring
    std::size_t at_ = 0;
    std::size_t ahead_ = 0;  ///< messages that were looked at and not yet read
};

}  // namespace flowkin
