// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace flowkin {

/// The rotated files beside a log: `PATH.20261123T045534Z-000123`, the time of the last line in it and a
/// counter that goes on from file to file, also across restarts. Sorted by name they are sorted by time: a
/// name never stands before an older one, even where the clock was set back.
///
/// Only files with such a name are counted or removed; what an operator compressed or renamed is his own.
class RotatedFiles {
  public:
    explicit RotatedFiles(std::string path) : path_(std::move(path)) {}

    /// Renames the log to its rotated name. Never onto an existing file.
    Result<void> add(std::time_t last_written) const;
    /// Removes all but the newest `keep`.
    Result<void> prune(unsigned keep) const;

  private:
    std::string path_;
};

}  // namespace flowkin
