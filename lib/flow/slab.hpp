// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace flowkin {

/// Equal things in chunks that never move, named by a 32-bit slot. Places of what was erased are used again,
/// the last freed first, so a table that turns over keeps its size and its cache lines.
template <class T>
class Slab {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    using Slot = std::uint32_t;
    static constexpr Slot none = 0xffffffff;

    /// A value-initialised T. Its reference is good until it is erased.
    Slot insert() {
        if (free_ == none) {
            add_chunk();
        }
        const Slot slot = free_;
        Chunk& chunk = *chunks_[slot / chunk_slots];
        free_ = chunk.next[slot % chunk_slots];
        chunk.next[slot % chunk_slots] = occupied;
        chunk.values[slot % chunk_slots] = T{};
        ++size_;
        return slot;
    }

    void erase(Slot slot) {
        assert(contains(slot));
        chunks_[slot / chunk_slots]->next[slot % chunk_slots] = free_;
        free_ = slot;
        --size_;
    }

    T& operator[](Slot slot) { return chunks_[slot / chunk_slots]->values[slot % chunk_slots]; }
    const T& operator[](Slot slot) const { return chunks_[slot / chunk_slots]->values[slot % chunk_slots]; }

    /// The value, or null for `none`.
    const T* get(Slot slot) const { return slot == none ? nullptr : &(*this)[slot]; }

    bool contains(Slot slot) const {
        return slot < slots() && chunks_[slot / chunk_slots]->next[slot % chunk_slots] == occupied;
    }
    std::size_t size() const { return size_; }
    /// One more than the greatest slot there may be.
    std::size_t slots() const { return chunks_.size() * chunk_slots; }
    std::size_t memory_bytes() const { return chunks_.size() * sizeof(Chunk); }

  private:
    static constexpr std::size_t chunk_slots = 1024;
    static constexpr Slot occupied = 0xfffffffe;
    struct Chunk {
        std::array<T, chunk_slots> values;
        std::array<Slot, chunk_slots> next;  ///< the next free slot, or `occupied`
    };

    void add_chunk() {
        const auto first = static_cast<Slot>(slots());
        chunks_.push_back(std::make_unique<Chunk>());
        for (std::size_t i = 0; i < chunk_slots; ++i) {
            chunks_.back()->next[i] = i + 1 < chunk_slots ? first + static_cast<Slot>(i) + 1 : none;
        }
        free_ = first;
    }

    std::vector<std::unique_ptr<Chunk>> chunks_;
    Slot free_ = none;
    std::size_t size_ = 0;
};

}  // namespace flowkin
