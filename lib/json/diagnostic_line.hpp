// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

#include "base/time.hpp"

namespace flowkin {

/// What flowkin tells its operator, as a line among those of the log: for the journal, where both are read in one
/// stream. It is no line of the ledger, and so has neither sequence nor id.
struct Diagnostic {
    WallTime at{};
    unsigned severity = 6;  ///< syslog's: 2 critical to 7 debug
    std::string_view level;
    std::string_view text;  ///< any bytes
};

/// The line with its newline: valid UTF-8, under 4,096 bytes; a text that is too long loses its end.
std::string diagnostic_line(const Diagnostic& diagnostic, std::string_view host_name);

}  // namespace flowkin
