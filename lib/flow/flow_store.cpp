// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/flow_store.hpp"

namespace flowkin {

namespace {

template <class T>
T& room_for(Slab<T>& slab, std::uint32_t& slot) {
    if (slot == Slab<T>::none) {
        slot = slab.insert();
    }
    return slab[slot];
}

template <class T>
void clear(Slab<T>& slab, std::uint32_t& slot) {
    if (slot != Slab<T>::none) {
        slab.erase(slot);
        slot = Slab<T>::none;
    }
}

}  // namespace

FlowStore::Slot FlowStore::insert(const FlowKey& key, bool indexed) {
    const Slot slot = nodes_.insert();
    nodes_[slot].flow.key = key;
    if (indexed) {
        index_.insert(hash_(key), slot);
    }
    return slot;
}

void FlowStore::erase(Slot slot, bool indexed) {
    Node& node = nodes_[slot];
    if (node.kin != none) {
        leave_family(slot);
        clear(kin_, node.kin);
    }
    clear(replies_, node.reply);
    clear(tags_, node.tags);
    clear(marks_, node.marks);
    clear(interims_, node.interim);
    if (indexed) {
        index_.erase(hash_(node.flow.key), slot);
    }
    nodes_.erase(slot);
}

FlowView FlowStore::view(Slot slot) const {
    const Node& node = nodes_[slot];
    const Kin* kin = kin_.get(node.kin);
    return {.flow = &node.flow,
            .reply = replies_.get(node.reply),
            .lineage = kin != nullptr && kin->is_child ? &kin->lineage : nullptr,
            .tags = tags_.get(node.tags),
            .marks = marks_.get(node.marks)};
}

bool FlowStore::set_reply(Node& node, const Tuple& reply) {
    const Tuple mirrored = mirror(node.flow.key.original);
    const Tuple before = node.reply == none ? mirrored : replies_[node.reply];
    if (reply == mirrored) {
        clear(replies_, node.reply);
    } else {
        room_for(replies_, node.reply) = reply;
    }
    return before != reply;
}

Tags& FlowStore::tags(Node& node) {
    return room_for(tags_, node.tags);
}
MarkHistory& FlowStore::marks(Node& node) {
    return room_for(marks_, node.marks);
}
FlowStore::Interim& FlowStore::interim(Node& node) {
    return room_for(interims_, node.interim);
}
FlowStore::Kin& FlowStore::kin(Node& node) {
    return room_for(kin_, node.kin);
}

void FlowStore::adopt(Slot child, Slot parent, const Lineage& lineage) {
    Kin& own = kin(nodes_[child]);
    own.lineage = lineage;
    own.is_child = true;
    own.parent = parent;
    if (parent == none) {
        return;
    }
    Kin& elder = kin(nodes_[parent]);
    own.next_sibling = elder.first_child;
    if (own.next_sibling != none) {
        kin_[nodes_[own.next_sibling].kin].previous_sibling = child;
    }
    elder.first_child = child;
}

void FlowStore::leave_family(Slot slot) {
    Kin& own = kin_[nodes_[slot].kin];
    if (own.previous_sibling != none) {
        kin_[nodes_[own.previous_sibling].kin].next_sibling = own.next_sibling;
    } else if (own.parent != none) {
        kin_[nodes_[own.parent].kin].first_child = own.next_sibling;
    }
    if (own.next_sibling != none) {
        kin_[nodes_[own.next_sibling].kin].previous_sibling = own.previous_sibling;
    }
    for (Slot child = own.first_child; child != none;) {
        Kin& orphan = kin_[nodes_[child].kin];
        child = orphan.next_sibling;
        orphan.parent = orphan.next_sibling = orphan.previous_sibling = none;
    }
}

std::size_t FlowStore::memory_bytes() const {
    return index_.memory_bytes() + nodes_.memory_bytes() + replies_.memory_bytes() + kin_.memory_bytes() +
           tags_.memory_bytes() + marks_.memory_bytes() + interims_.memory_bytes();
}

}  // namespace flowkin
