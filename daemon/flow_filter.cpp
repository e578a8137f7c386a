// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow_filter.hpp"

namespace flowkin {
namespace {

bool has_end(const Tuple& tuple, const FlowFilter::Host& host) {
    return tuple.family == host.family && (tuple.source == host.address || tuple.destination == host.address);
}

bool has_end(const Tuple& tuple, std::uint16_t port) {
    return has_ports(tuple.protocol) && (tuple.source_port == port || tuple.destination_port == port);
}

/// In the original tuple, or in the reply where NAT made that another.
template <class End>
bool touches(const FlowView& view, const End& end) {
    return has_end(view.flow->key.original, end) || (view.reply != nullptr && has_end(*view.reply, end));
}

}  // namespace

bool FlowFilter::matches(const FlowView& view) const {
    const Flow& flow = *view.flow;
    const Lineage* lineage = view.lineage;
    return (!kernel_id || (flow.has_kernel_id && flow.kernel_id == *kernel_id)) &&
           (!uid || flow.uid == *uid) && (!parent || (lineage != nullptr && lineage->parent == *parent)) &&
           (!root || flow.uid == *root || (lineage != nullptr && lineage->root == *root)) &&
           (!mark || (flow.mark & mark_mask) == (*mark & mark_mask)) &&
           (!zone || flow.key.zone.id == *zone) && (!protocol || flow.key.original.protocol == *protocol) &&
           (!port || touches(view, *port)) && (!address || touches(view, *address));
}

}  // namespace flowkin
