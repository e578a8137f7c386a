// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "flow/flow_store.hpp"
#include "flow/message.hpp"

namespace flowkin {

/// Who descends from whom. A parent is resolved once, when CTA_TUPLE_MASTER is first seen: at the child's birth, or
/// where that was missed in a dump. A child met before its parent keeps the tuple.
class Kinship {
  public:
    using Slot = FlowStore::Slot;

    explicit Kinship(FlowStore& store) : store_(store) {}

    /// What a child of the flow at `parent` would descend from; `parent` none: the tuple is all that is
    /// known.
    Lineage lineage_of(const Tuple& master, Slot parent) const;

    /// Gives the new flow its place, and its mark the origin that follows from it.
    void adopt(Slot slot, const FlowMessage& first_message);

    /// Whether the flow's place is known: `adopt()` or `learn()` has given it one.
    bool knows(Slot slot) const;

    /// Gives a flow whose birth was missed its place, now that a dump names its master.
    void learn(Slot slot, const FlowMessage& dump);

    /// Joins restored children to their living parents. Records of both may be of different moments: a child that
    /// still says "inherited" has diverged where its parent's mark is another by now.
    void relink();

  private:
    Slot believed_parent(const FlowMessage& message) const;

    FlowStore& store_;
};

}  // namespace flowkin
