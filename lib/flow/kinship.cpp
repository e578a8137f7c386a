// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/kinship.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include "flow/flow_uid_hash.hpp"

namespace flowkin {

namespace {

constexpr FlowStore::Slot none = FlowStore::none;

}  // namespace

Lineage Kinship::lineage_of(const Tuple& master, Slot parent) const {
    Lineage lineage;
    lineage.parent_tuple = master;
    if (parent == none) {
        return lineage;
    }
    const FlowView elder = store_.view(parent);
    lineage.parent = elder.flow->uid;
    lineage.parent_kernel_id = elder.flow->kernel_id;
    lineage.parent_has_kernel_id = elder.flow->has_kernel_id;
    if (elder.tags != nullptr) {
        lineage.parent_helper = elder.tags->helper;
    }
    const bool elder_has_root = elder.lineage != nullptr && elder.lineage->root;
    lineage.root = elder_has_root ? elder.lineage->root : elder.flow->uid;
    lineage.depth = elder_has_root ? elder.lineage->depth + 1 : 1;
    return lineage;
}

void Kinship::adopt(Slot slot, const FlowMessage& first_message) {
    Flow& flow = store_[slot].flow;
    if (!first_message.master) {
        // UPDATE and DESTROY do not name the master: a mark that is set may be inherited all the same.
        const bool may_be_child = flow.status.has(StatusBit::expected);
        flow.mark_origin = flow.mark != 0 && !may_be_child ? MarkOrigin::rule : MarkOrigin::none;
        return;
    }
    const Slot parent = believed_parent(first_message);
    store_.adopt(slot, parent, lineage_of(*first_message.master, parent));
    if (flow.mark == 0 || parent == none) {
        return;
    }
    if (flow.mark == store_[parent].flow.mark) {
        flow.mark_origin = MarkOrigin::inherited;
    } else if (first_message.kind == FlowMessageKind::new_flow) {
        flow.mark_origin = MarkOrigin::rule;  // a rule overwrote the copy before the kernel said NEW
    }
}

bool Kinship::knows(Slot slot) const {
    const FlowStore::Kin* kin = store_.find_kin(store_[slot]);
    return kin != nullptr && kin->is_child;
}

void Kinship::learn(Slot slot, const FlowMessage& dump) {
    if (!dump.master || knows(slot)) {
        return;
    }
    const Slot parent = believed_parent(dump);
    store_.adopt(slot, parent, lineage_of(*dump.master, parent));
    Flow& flow = store_[slot].flow;
    const bool untouched = flow.mark_origin == MarkOrigin::none && flow.mark_changes == 0;
    if (untouched && flow.mark != 0 && parent != none && flow.mark == store_[parent].flow.mark) {
        flow.mark_origin = MarkOrigin::inherited;
    }
}

/// From a dump a parent is believed only where it is the elder: the kernel goes on naming a dead parent's
/// tuple, which may belong to another flow by now.
Kinship::Slot Kinship::believed_parent(const FlowMessage& message) const {
    const Slot parent = store_.find({*message.master, message.key.zone});
    if (parent == none || message.kind != FlowMessageKind::dump) {
        return parent;
    }
    const Flow& elder = store_[parent].flow;
    return elder.has_start && message.start && elder.started <= *message.start ? parent : none;
}

void Kinship::relink() {
    boost::unordered_flat_map<FlowUid, Slot, FlowUidHash> parents;
    const auto for_each_child = [&](auto visit) {
        for (Slot slot = 0; slot < store_.slots(); ++slot) {
            if (store_.contains(slot)) {
                if (const FlowView view = store_.view(slot);
                    view.lineage != nullptr && view.lineage->parent) {
                    visit(slot, *view.lineage);
                }
            }
        }
    };
    for_each_child([&](Slot /*child*/, const Lineage& lineage) { parents[lineage.parent] = none; });
    if (parents.empty()) {
        return;
    }
    for (Slot slot = 0; slot < store_.slots(); ++slot) {
        if (store_.contains(slot)) {
            if (const auto at = parents.find(store_[slot].flow.uid); at != parents.end()) {
                at->second = slot;
            }
        }
    }
    for_each_child([&](Slot child, const Lineage lineage) {
        if (const Slot parent = parents[lineage.parent]; parent != none && parent != child) {
            store_.adopt(child, parent, lineage);
            Flow& flow = store_[child].flow;
            if (flow.mark_origin == MarkOrigin::inherited && flow.mark != store_[parent].flow.mark) {
                flow.mark_origin =
                    MarkOrigin::diverged;  // the parent's change is younger than the child's record
            }
        }
    });
}

}  // namespace flowkin
