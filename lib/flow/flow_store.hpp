// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "flow/flow.hpp"
#include "flow/key_hash.hpp"
#include "flow/key_index.hpp"
#include "flow/slab.hpp"

namespace flowkin {

/// The flows and what stands beside few of them, in memory. Storage alone: the rules are FlowTable's.
///
/// A flow is a node of 160 bytes and eight to twenty bytes of index. What most flows do not have (a reply
/// tuple that is no mirror, kin, tags, a history of marks, interim counters) stands in slabs of its own.
class FlowStore {
  public:
    using Slot = std::uint32_t;
    static constexpr Slot none = 0xffffffff;

    struct Node {
        Flow flow;
        Slot reply = none;
        Slot kin = none;
        Slot tags = none;
        Slot marks = none;
        Slot interim = none;
        std::uint16_t seen_in = 0;    ///< the reconcile in which a dump spoke of it last
        std::uint16_t spoken_in = 0;  ///< the reconcile in which an event spoke of it last
    };

    /// A flow's place in its family. Parents have one, too: it heads the list of their living children.
    struct Kin {
        Lineage lineage;
        bool is_child = false;
        Slot parent = none;  ///< while the parent lives
        Slot first_child = none;
        Slot next_sibling = none;
        Slot previous_sibling = none;
    };

    /// What the last flow-active record said.
    struct Interim {
        WallTime at{};
        Counters original;
        Counters reply;
    };

    explicit FlowStore(std::uint64_t hash_seed) : hash_(hash_seed) {}

    Slot find(const FlowKey& key) const {
        return index_.find(hash_(key), [&](Slot slot) { return nodes_[slot].flow.key == key; });
    }
    std::uint64_t hash(const FlowKey& key) const { return hash_(key); }
    /// Brings the key's place in the index into the cache, and then the flow that stands there.
    void fetch_place(std::uint64_t hash) const { index_.prefetch(hash); }
    void fetch(std::uint64_t hash) const {
        if (const Slot slot = index_.guess(hash); slot != none) {
            nodes_.prefetch(slot);
        }
    }
    /// `indexed` false: the flow is not to be found by its key (it lives for a moment only).
    Slot insert(const FlowKey& key, bool indexed = true);
    void erase(Slot slot, bool indexed = true);

    Node& operator[](Slot slot) { return nodes_[slot]; }
    const Node& operator[](Slot slot) const { return nodes_[slot]; }
    bool contains(Slot slot) const { return nodes_.contains(slot); }
    std::size_t size() const { return nodes_.size(); }
    std::size_t slots() const { return nodes_.slots(); }
    FlowView view(Slot slot) const;

    /// Stores `reply` where it is not the mirror of the original. True where it was another before.
    bool set_reply(Node& node, const Tuple& reply);
    Tags& tags(Node& node);
    MarkHistory& marks(Node& node);
    Interim& interim(Node& node);
    const Tags* find_tags(const Node& node) const { return tags_.get(node.tags); }
    const MarkHistory* find_marks(const Node& node) const { return marks_.get(node.marks); }
    const Interim* find_interim(const Node& node) const { return interims_.get(node.interim); }
    const Kin* find_kin(const Node& node) const { return kin_.get(node.kin); }

    /// Makes `child` a child with this lineage; `parent` none where it is not met.
    void adopt(Slot child, Slot parent, const Lineage& lineage);
    /// Calls `visit(Node&)` for each living child.
    template <class Visit>
    void for_each_child(Slot parent, Visit visit) {
        if (const Kin* kin = find_kin(nodes_[parent]); kin != nullptr) {
            for (Slot child = kin->first_child; child != none; child = kin_[nodes_[child].kin].next_sibling) {
                visit(nodes_[child]);
            }
        }
    }

    std::size_t memory_bytes() const;

  private:
    Kin& kin(Node& node);
    void leave_family(Slot slot);

    KeyHash hash_;
    KeyIndex index_;
    Slab<Node> nodes_;
    Slab<Tuple> replies_;
    Slab<Kin> kin_;
    Slab<Tags> tags_;
    Slab<MarkHistory> marks_;
    Slab<Interim> interims_;
};
static_assert(sizeof(FlowStore::Node) <= 160, "a million flows are an ordinary day");

}  // namespace flowkin
