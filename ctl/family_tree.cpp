// SPDX-License-Identifier: GPL-2.0-or-later
#include "family_tree.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "flow_text.hpp"

namespace flowkin {

void FamilyTree::add(const nlohmann::json& flow) {
    const std::string uid = flow_uid(flow);
    labels_[uid] = flow_label(flow);
    if (const std::string parent = flow_parent_uid(flow); !parent.empty() && parent != uid) {
        below_[parent].push_back(uid);
    }
}

std::string FamilyTree::text(const std::string& root) const {
    // Who a dead parent descended from is not known any more, but for the root: there its children stand.
    FamilyTree whole = *this;
    for (const auto& [parent, below] : below_) {
        if (parent != root && !labels_.contains(parent)) {
            whole.below_[root].push_back(parent);
        }
    }
    std::string text;
    whole.put(text, root, {});
    return text;
}

void FamilyTree::put(std::string& text, const std::string& uid, const std::string& indent) const {
    const auto label = labels_.find(uid);
    text += (label != labels_.end() ? label->second : uid + "  lives no more") + '\n';
    const auto below = below_.find(uid);
    if (below == below_.end()) {
        return;
    }
    std::vector<std::string> children = below->second;
    std::sort(children.begin(), children.end());  // the earlier born first, within a run
    for (const std::string& child : children) {
        const bool last = &child == &children.back();
        text += indent + (last ? "└─ " : "├─ ");
        put(text, child, indent + (last ? "   " : "│  "));
    }
}

}  // namespace flowkin
