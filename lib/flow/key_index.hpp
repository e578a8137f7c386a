// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cassert>
#include <cstdint>
#include <vector>

#include "base/huge_pages.hpp"

namespace flowkin {

/// Where a key's flow stands in the slab: open addressing over pairs of hash and slot, eight bytes a place.
///
/// Linear probing; erasing moves followers back, so there are no tombstones and lookups stay short for ever.
/// The hash stands in the place, so growing reads the old places in order and touches no flow.
class KeyIndex {
  public:
    using Slot = std::uint32_t;
    static constexpr Slot none = 0xffffffff;

    /// The slot whose hash is `hash` and for which `same(slot)` holds, or none.
    template <class Same>
    Slot find(std::uint64_t hash, Same same) const {
        const auto tag = static_cast<std::uint32_t>(hash);
        for (std::size_t at = home(tag);; at = (at + 1) & mask_) {
            const Place& place = places_[at];
            if (place.slot == none) {
                return none;
            }
            if (place.tag == tag && same(place.slot)) {
                return place.slot;
            }
        }
    }

    void insert(std::uint64_t hash, Slot slot) {
        if ((size_ + 1) * 4 > places_.size() * 3) {
            grow();
        }
        put({static_cast<std::uint32_t>(hash), slot});
        ++size_;
    }

    void erase(std::uint64_t hash, Slot slot) {
        const auto tag = static_cast<std::uint32_t>(hash);
        std::size_t hole = home(tag);
        while (places_[hole].slot != slot) {
            assert(places_[hole].slot != none);
            hole = (hole + 1) & mask_;
        }
        for (std::size_t at = (hole + 1) & mask_; places_[at].slot != none; at = (at + 1) & mask_) {
            const std::size_t wanted = home(places_[at].tag);
            if (((at - wanted) & mask_) >= ((at - hole) & mask_)) {
                places_[hole] = places_[at];
                hole = at;
            }
        }
        places_[hole].slot = none;
        --size_;
    }

    /// The first slot that stands under such a hash, whether or not it is the key's; or none.
    Slot guess(std::uint64_t hash) const {
        const auto tag = static_cast<std::uint32_t>(hash);
        for (std::size_t at = home(tag);; at = (at + 1) & mask_) {
            const Place& place = places_[at];
            if (place.slot == none || place.tag == tag) {
                return place.slot;
            }
        }
    }

    /// Brings the place where `hash` is looked up into the cache.
    void prefetch(std::uint64_t hash) const {
        __builtin_prefetch(&places_[home(static_cast<std::uint32_t>(hash))]);
    }

    std::size_t memory_bytes() const { return places_.capacity() * sizeof(Place); }

  private:
    struct Place {
        std::uint32_t tag = 0;
        Slot slot = none;
    };

    std::size_t home(std::uint32_t tag) const { return tag & mask_; }

    void put(Place place) {
        std::size_t at = home(place.tag);
        while (places_[at].slot != none) {
            at = (at + 1) & mask_;
        }
        places_[at] = place;
    }

    void grow() {
        Places old(places_.size() * 2);
        old.swap(places_);
        mask_ = places_.size() - 1;
        for (const Place& place : old) {
            if (place.slot != none) {
                put(place);
            }
        }
    }

    using Places = std::vector<Place, HugePages<Place>>;
    Places places_ = Places(1024);
    std::size_t mask_ = 1023;
    std::size_t size_ = 0;
};

}  // namespace flowkin
