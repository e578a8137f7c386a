// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace flowkin {

/// A connection to a running flowkin's control socket: requests and answers, a line each.
class ControlConnection {
  public:
    /// Nobody there is Fault::input_output, somebody who may not is Fault::permission; one line each.
    static Result<ControlConnection> open(const std::string& path);

    Result<void> send(std::string_view line);

    /// The next line without its newline. An error where the connection ends, or nothing comes within
    /// `patience`.
    Result<std::string> receive(std::chrono::seconds patience);

  private:
    ControlConnection(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    UniqueFd fd_;
    std::string path_;
    std::string received_;  ///< from `taken_` on: not yet given out
    std::size_t taken_ = 0;
};

}  // namespace flowkin
