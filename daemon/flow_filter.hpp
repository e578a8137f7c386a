// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>

#include "flow/flow.hpp"

namespace flowkin {

/// Which flows of the table somebody asks for: those that fit all that is set.
struct FlowFilter {
    struct Host {
        Family family = Family::ipv4;
        Address address;
    };

    std::optional<Host> address{};        ///< either end, as it is or as NAT translates it
    std::optional<std::uint16_t> port{};  ///< likewise; only where the protocol has ports
    std::optional<Protocol> protocol{};
    std::optional<Mark> mark{};
    Mark mark_mask = 0xffffffff;  ///< which bits of the mark count
    std::optional<std::uint16_t> zone{};
    std::optional<FlowUid> parent{};
    std::optional<FlowUid> root{};  ///< the root of a family itself, and all that descend from it
    std::optional<FlowUid> uid{};
    std::optional<KernelFlowId> kernel_id{};

    bool matches(const FlowView& view) const;
};

}  // namespace flowkin
