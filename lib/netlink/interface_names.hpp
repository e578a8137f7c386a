// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace flowkin {

/// Names of the interfaces of the network namespace that we are in, by their index. An index keeps its
/// interface for good, but an interface may get another name: a name is believed for a second.
class InterfaceNames {
  public:
    /// Empty where there is no such interface. Good until forget().
    std::string_view name(std::uint32_t index);

    /// To be called about once a second.
    void forget() { names_.clear(); }

  private:
    std::unordered_map<std::uint32_t, std::string> names_;
};

}  // namespace flowkin
