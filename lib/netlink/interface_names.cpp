// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/interface_names.hpp"

#include <net/if.h>

#include <array>

namespace flowkin {

std::string_view InterfaceNames::name(std::uint32_t index) {
    const auto [known, is_new] = names_.try_emplace(index);
    if (is_new) {
        std::array<char, IF_NAMESIZE> text{};
        if (::if_indextoname(index, text.data()) != nullptr) {
            known->second = text.data();
        }
    }
    return known->second;
}

}  // namespace flowkin
