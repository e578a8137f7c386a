// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace flowkin {

/// A set of numbers other than 0 in any order: the flows of one run that live. Open addressing with linear
/// probes and no tombstones; 8 bytes a place, at most two thirds full. Seeded, because logs come from
/// strangers too.
class CounterSet {
  public:
    bool contains(std::uint64_t number) const { return size_ != 0 && places_[find(number)] == number; }

    /// False where it was in already.
    bool insert(std::uint64_t number) {
        if (size_ * 3 >= places_.size() * 2) {
            grow();
        }
        const std::size_t place = find(number);
        if (places_[place] == number) {
            return false;
        }
        places_[place] = number;
        ++size_;
        return true;
    }

    /// False where it was not in.
    bool erase(std::uint64_t number) {
        if (size_ == 0) {
            return false;
        }
        std::size_t hole = find(number);
        if (places_[hole] != number) {
            return false;
        }
        // Draw up what a probe for it would reach only over the hole.
        const std::size_t mask = places_.size() - 1;
        for (std::size_t next = (hole + 1) & mask; places_[next] != 0; next = (next + 1) & mask) {
            const std::size_t home = home_of(places_[next]);
            if (((next - home) & mask) >= ((next - hole) & mask)) {
                places_[hole] = places_[next];
                hole = next;
            }
        }
        places_[hole] = 0;
        --size_;
        return true;
    }

    void clear() {
        places_ = {};
        size_ = 0;
    }
    std::size_t size() const { return size_; }

  private:
    std::size_t home_of(std::uint64_t number) const {
        return static_cast<std::size_t>((number ^ number >> 32U) * multiplier_ >> shift_);
    }

    /// Where the number is, or else the free place where it belongs.
    std::size_t find(std::uint64_t number) const {
        const std::size_t mask = places_.size() - 1;
        std::size_t place = home_of(number);
        while (places_[place] != 0 && places_[place] != number) {
            place = (place + 1) & mask;
        }
        return place;
    }

    void grow() {
        if (places_.empty()) {
            std::random_device random;
            multiplier_ = (std::uint64_t{random()} << 32U | random()) | 1U;
        }
        const std::vector<std::uint64_t> before =
            std::exchange(places_, std::vector<std::uint64_t>(places_.empty() ? 16 : places_.size() * 2));
        shift_ = 64U - static_cast<unsigned>(std::countr_zero(places_.size()));
        for (const std::uint64_t number : before) {
            if (number != 0) {
                places_[find(number)] = number;
            }
        }
    }

    std::vector<std::uint64_t> places_;  ///< 0: free
    std::size_t size_ = 0;
    std::uint64_t multiplier_ = 0;
    unsigned shift_ = 0;
};

}  // namespace flowkin
