// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/label_names.hpp"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <memory>

namespace flowkin {

std::map<unsigned, std::string> read_label_names() {
    std::map<unsigned, std::string> names;
    const std::unique_ptr<nfct_labelmap, decltype(&::nfct_labelmap_destroy)> map(::nfct_labelmap_new(nullptr),
                                                                                 &::nfct_labelmap_destroy);
    if (map == nullptr) {
        return names;
    }
    constexpr unsigned bits = 128;
    for (unsigned bit = 0; bit < bits; ++bit) {
        if (const char* name = ::nfct_labelmap_get_name(map.get(), bit); name != nullptr && *name != '\0') {
            names.emplace(bit, name);
        }
    }
    return names;
}

}  // namespace flowkin
