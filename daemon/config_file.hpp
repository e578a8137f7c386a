// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.hpp"

namespace flowkin {

/// The text of a configuration file; empty where there is no such file.
///
/// What root runs by, only root may write: as root, a file that belongs to someone else or that its group or
/// others may write is refused, with the command that mends it. All errors are Fault::configuration and one
/// line.
Result<std::optional<std::string>> read_config_file(const std::filesystem::path& file);

}  // namespace flowkin
