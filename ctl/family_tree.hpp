// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace flowkin {

/// A family as a tree of text: the root, its children below it, theirs below them. A parent that lives no
/// more still has its place, by its uid.
class FamilyTree {
  public:
    void add(const nlohmann::json& flow);

    /// Lines for a person, the last with its newline. `root`: the uid of the head.
    std::string text(const std::string& root) const;

  private:
    void put(std::string& text, const std::string& uid, const std::string& indent) const;

    std::map<std::string, std::string> labels_;              // by uid
    std::map<std::string, std::vector<std::string>> below_;  // children by the uid of their parent
};

}  // namespace flowkin
