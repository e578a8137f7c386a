// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace flowkin {

static_assert(std::endian::native == std::endian::little, "the state file is little-endian");

/// Appends values to bytes.
class ByteWriter {
  public:
    explicit ByteWriter(std::vector<std::uint8_t>& bytes) : bytes_(bytes) {}

    template <class T>
    void put(const T& value) {
        static_assert(std::has_unique_object_representations_v<T> || std::is_enum_v<T>);
        const auto at = bytes_.size();
        bytes_.resize(at + sizeof value);
        std::memcpy(bytes_.data() + at, &value, sizeof value);
    }

  private:
    std::vector<std::uint8_t>& bytes_;
};

/// Takes values from bytes; past the end it gives zeros and says so at the end.
class ByteReader {
  public:
    explicit ByteReader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

    template <class T>
    T take() {
        static_assert(std::has_unique_object_representations_v<T> || std::is_enum_v<T>);
        T value{};
        if (rest_.size() < sizeof value) {
            short_ = true;
            rest_ = {};
            return value;
        }
        std::memcpy(&value, rest_.data(), sizeof value);
        rest_ = rest_.subspan(sizeof value);
        return value;
    }

    bool at_end() const { return rest_.empty(); }
    bool ran_short() const { return short_; }

  private:
    std::span<const std::uint8_t> rest_;
    bool short_ = false;
};

/// A checksum against accidents (a cut, a flipped bit, a block of zeros), at memory speed: folded
/// multiplication, word by word, each step depending on the one before.
inline std::uint64_t checksum(std::span<const std::uint8_t> bytes, std::uint64_t seed) {
    __extension__ using Wide = unsigned __int128;
    std::uint64_t sum = seed ^ (bytes.size() * 0x9e3779b97f4a7c15);
    while (!bytes.empty()) {
        std::uint64_t word = 0;
        const std::size_t length = bytes.size() < sizeof word ? bytes.size() : sizeof word;
        std::memcpy(&word, bytes.data(), length);
        bytes = bytes.subspan(length);
        const Wide product = static_cast<Wide>(sum ^ word ^ 0xa0761d6478bd642f) * 0xe7037ed1a0b428db;
        sum = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
    }
    return sum;
}

}  // namespace flowkin
