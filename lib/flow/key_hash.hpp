// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "flow/tuple.hpp"

namespace flowkin {

/// A seeded hash of keys and tuples. Strangers choose the tuples: with a seed that they do not know they
/// cannot choose ones that collide. Four folded 64 x 64 bit multiplications; each depends on the one before
/// and on a secret. The last takes nothing in: without it ports that count up would come to lie in steps, under
/// some seeds on few places.
class KeyHash {
  public:
    explicit KeyHash(std::uint64_t seed) {
        for (auto& secret : secrets_) {  // splitmix64
            seed += 0x9e3779b97f4a7c15;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9;
            z = (z ^ (z >> 27U)) * 0x94d049bb133111eb;
            secret = (z ^ (z >> 31U)) | 1U;
        }
    }

    std::uint64_t operator()(const FlowKey& key) const {
        return hash(key.original,
                    std::uint64_t{key.zone.id} << 8U | static_cast<std::uint64_t>(key.zone.direction));
    }
    std::uint64_t operator()(const Tuple& tuple) const { return hash(tuple, 0); }

  private:
    static std::uint64_t load(const std::uint8_t* bytes) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes, sizeof word);
        return word;
    }
    static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
    }
    std::uint64_t hash(const Tuple& tuple, std::uint64_t zone) const {
        const auto* source = tuple.source.bytes.data();
        const auto* destination = tuple.destination.bytes.data();
        const std::uint64_t rest = std::uint64_t{tuple.source_port} << 48U |
                                   std::uint64_t{tuple.destination_port} << 32U |
                                   std::uint64_t{static_cast<std::uint8_t>(tuple.family)} << 24U |
                                   std::uint64_t{static_cast<std::uint8_t>(tuple.protocol)} << 16U;
        std::uint64_t h = fold(load(source) ^ secrets_[0], load(source + 8) ^ secrets_[1]);
        h = fold(h ^ load(destination), load(destination + 8) ^ secrets_[2]);
        h = fold(h ^ rest, secrets_[3] ^ zone << 1U);
        return fold(h ^ secrets_[1], secrets_[0]);
    }

    std::array<std::uint64_t, 4> secrets_{};
};

}  // namespace flowkin
