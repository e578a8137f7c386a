// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "flow/flow_store.hpp"
#include "flow/message.hpp"

namespace flowkin {

/// Who descends from whom. A parent is resolved once, at the child's first sight, from CTA_TUPLE_MASTER; a
/// child met before its parent keeps the tuple.
class Kinship {
  public:
    using Slot = FlowStore::Slot;

    explicit Kinship(FlowStore& store) : store_(store) {}

    /// What a child of the flow at `parent` would descend from; `parent` none: the tuple is all that is
    /// known.
    Lineage lineage_of(const Tuple& master, Slot parent) const;

    /// Gives the new flow its place, and its mark the origin that follows from it.
    void adopt(Slot slot, const FlowMessage& first_message);

    /// Joins restored children to their living parents. Records of both may be of different moments: a child that
    /// still says "inherited" has diverged where its parent's mark is another by now.
    void relink();

  private:
    Slot believed_parent(const FlowMessage& message) const;

    FlowStore& store_;
};

}  // namespace flowkin
