// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>

/// SHA-1 of messages that fit one block: all that a Community ID needs.
namespace flowkin {

/// A message of at most 55 bytes, a byte 0x80, zeros, and its length in bits as the last eight bytes,
/// big-endian.
struct alignas(16) Sha1Block {
    static constexpr std::size_t message_longest = 55;
    std::array<std::uint8_t, 64> bytes{};
};

using Sha1Digest = std::array<std::uint8_t, 20>;

/// By the processor's SHA instructions where it has them.
Sha1Digest sha1(const Sha1Block& block);

/// Without them: what sha1() does elsewhere.
Sha1Digest sha1_portable(const Sha1Block& block);

bool has_sha_instructions();

}  // namespace flowkin
