// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "flow/flow.hpp"

namespace flowkin {

/// What one start of flowkin is for.
enum class Mode : std::uint8_t {
    monitor,       ///< the daemon
    replay,        ///< a capture through the pipeline, without a kernel
    verify,        ///< logs against the conservation law
    story,         ///< one flow's life and family, from logs
    check_config,  ///< load the configuration and say whether it is good
    print_config,  ///< print the effective configuration
    show_text,     ///< --help or --version: print `text` to standard output and exit 0
};

/// The command line.
struct Options {
    Mode mode = Mode::monitor;
    std::optional<std::filesystem::path> config_file;  ///< for load_config()
    std::vector<std::string> overrides;                ///< for load_config(); --netns is among them
    std::optional<std::filesystem::path> capture_file;
    std::filesystem::path replay_file;
    RunId replay_run = 0;
    std::vector<std::string> verify_files;  ///< "-" is standard input
    std::string story_what;                 ///< for parse_story_question(), as is story_at
    std::optional<std::string> story_at;
    std::vector<std::string> story_files;  ///< "-" is standard input
    bool story_json = false;
    std::string text;
};

/// Reads the command line. An error is Fault::usage and one line.
Result<Options> parse_options(int argc, const char* const* argv);

}  // namespace flowkin
