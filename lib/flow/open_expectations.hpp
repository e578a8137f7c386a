// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "flow/flow.hpp"
#include "flow/key_hash.hpp"
#include "flow/message.hpp"

namespace flowkin {

/// The expectations that helpers have announced and that are not settled.
///
/// The kernel says XNEW, then XDES, then the child's NEW, a few microseconds apart on one socket; so XDES
/// alone does not tell whether the child came or never did. An expectation that is gone waits here for a
/// while for its child.
class OpenExpectations {
  public:
    struct Awaited {
        ExpectationMessage expectation;
        Lineage lineage;  ///< of a child, as far as it was known when the expectation was
        std::optional<WallTime> gone;
        bool fulfilled = false;  ///< a permanent one outlives its first child
    };

    explicit OpenExpectations(std::uint64_t hash_seed) : by_master_(0, KeyHash(hash_seed)) {}

    /// True where it is new: the kernel repeats one that a helper refreshes.
    bool add(const ExpectationMessage& expectation, const Lineage& lineage);

    /// The kernel took it away at `now`. One that was never announced to us waits all the same.
    void remove(const ExpectationMessage& expectation, const Lineage& lineage, WallTime now);

    /// Takes the one that `child` of `master` fulfils: a copy, since it is settled by that unless it is
    /// permanent.
    std::optional<Awaited> fulfil(const Tuple& master, const Tuple& child);

    /// Takes those whose child has not come by `now`.
    std::vector<Awaited> expire(WallTime now);

    bool empty() const { return by_master_.empty(); }

  private:
    using Index = std::unordered_multimap<Tuple, Awaited, KeyHash>;
    Index::iterator find(const ExpectationMessage& expectation);

    Index by_master_;
    std::size_t gone_ = 0;
};

}  // namespace flowkin
