// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "base/huge_pages.hpp"

namespace flowkin {

/// Equal things in chunks that never move, named by a 32-bit slot. Places of what was erased are used again,
/// the last freed first, so a table that turns over keeps its size and its cache lines. A place that was never used
/// was never touched, and takes no memory.
template <class T>
class Slab {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    using Slot = std::uint32_t;
    static constexpr Slot none = 0xffffffff;

    /// A value-initialised T. Its reference is good until it is erased.
    Slot insert() {
        const Slot slot = free_ != none ? free_ : unused_;
        if (slot == unused_) {
            if (slot == slots_of(chunks_.size())) {
                chunks_.emplace_back(HugePages<Place>().allocate(chunk_slots));
            }
            ++unused_;
        } else {
            free_ = place(slot).next;
            if (free_ != none) {
                prefetch(free_);  // the next insert's
            }
        }
        new (&place(slot)) Place{T{}, occupied};
        ++size_;
        return slot;
    }

    void erase(Slot slot) {
        assert(contains(slot));
        place(slot).next = free_;
        free_ = slot;
        --size_;
    }

    T& operator[](Slot slot) { return place(slot).value; }
    const T& operator[](Slot slot) const { return place(slot).value; }

    /// The value, or null for `none`.
    const T* get(Slot slot) const { return slot == none ? nullptr : &(*this)[slot]; }

    /// Brings all of a value into the cache.
    void prefetch(Slot slot) const {
        const auto* bytes = reinterpret_cast<const char*>(&place(slot));
        for (std::size_t offset = 0; offset < sizeof(Place); offset += 64) {
            __builtin_prefetch(bytes + offset, 1);
        }
        __builtin_prefetch(bytes + sizeof(Place) - 1, 1);
    }

    bool contains(Slot slot) const { return slot < unused_ && place(slot).next == occupied; }
    std::size_t size() const { return size_; }
    /// One more than the greatest slot there may be.
    std::size_t slots() const { return unused_; }
    /// What was touched, for that is what is taken.
    std::size_t memory_bytes() const { return unused_ * sizeof(Place); }

  private:
    static constexpr std::size_t chunk_slots = 16'384;
    static constexpr Slot occupied = 0xfffffffe;
    struct Place {
        T value;
        Slot next;  ///< the next free slot, or `occupied`
    };
    struct Free {
        void operator()(Place* places) const { HugePages<Place>().deallocate(places, chunk_slots); }
    };

    static constexpr Slot slots_of(std::size_t chunks) { return static_cast<Slot>(chunks * chunk_slots); }
    Place& place(Slot slot) { return chunks_[slot / chunk_slots].get()[slot % chunk_slots]; }
    const Place& place(Slot slot) const { return chunks_[slot / chunk_slots].get()[slot % chunk_slots]; }

    std::vector<std::unique_ptr<Place, Free>> chunks_;
    Slot free_ = none;
    Slot unused_ = 0;  ///< from here on no place was ever used
    std::size_t size_ = 0;
};

}  // namespace flowkin
