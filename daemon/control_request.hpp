// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.hpp"
#include "flow_filter.hpp"

namespace flowkin {

/// What a client of the control socket asks for (docs/control.md).
struct ControlRequest {
    enum class Command : std::uint8_t { status, flows, family, id, reconcile, rotate, reload };

    /// The longest request, its newline included.
    static constexpr std::size_t most_bytes = 4096;

    Command command = Command::status;
    FlowFilter filter;  ///< flows, id: which; family: a member's uid
};

/// Reads one line without its newline. Any bytes give a request or one clear line (Fault::usage): what is not
/// known is refused, since a filter that is not understood must not list everything.
Result<ControlRequest> parse_control_request(std::string_view line);

}  // namespace flowkin
