// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace flowkin {

inline constexpr std::string_view default_control_socket = "/run/flowkin/control.sock";

/// What the command line of flowkinctl asks for.
struct CommandLine {
    /// How the answer is shown, beside as JSON.
    enum class Show : std::uint8_t { text, status, flows, family, change };

    Show show = Show::change;
    std::string text;  ///< text: what --help or --version print, and nothing is asked
    std::string socket = std::string(default_control_socket);
    std::string request;  ///< one line for the control socket, its newline included
    std::string done;     ///< change: what to say where it was done
    bool json = false;
};

/// Every error is Fault::usage and one line.
Result<CommandLine> parse_command_line(int argc, const char* const* argv);

}  // namespace flowkin
