// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace flowkin {

/// Reads a log file, or standard input, line by line: large reads into one buffer, lines as views into it.
class LineReader {
  public:
    /// A line longer than this is not held in memory; only its length is known.
    static constexpr std::size_t longest_line = std::size_t{64} * 1024;

    struct Line {
        std::string_view text;    ///< without the newline; empty where the line is longer than longest_line
        std::uint64_t bytes = 0;  ///< the whole line's length
        bool overlong() const { return bytes > text.size(); }
    };

    /// "-" is standard input. A path that is missing, unreadable or a folder: Fault::input_output.
    static Result<LineReader> open(const std::string& path);

    /// False at the end, and where the file could not be read on: see error(). What stands after the last
    /// newline is a line too. The line is good until the next call.
    bool next(Line& line);

    const std::optional<Error>& error() const { return error_; }
    /// Of a regular file; 0 of anything else.
    std::uint64_t file_bytes() const { return file_bytes_; }

  private:
    static constexpr std::size_t buffer_bytes = std::size_t{256} * 1024;

    LineReader(std::string path, UniqueFd owned, int fd, std::uint64_t file_bytes);
    bool read_on();

    std::string path_;
    UniqueFd owned_;  ///< empty where it is standard input
    int fd_;
    std::uint64_t file_bytes_;
    std::unique_ptr<char[]> buffer_;
    std::size_t begin_ = 0;  ///< of what is not handed out yet
    std::size_t end_ = 0;    ///< of what was read
    bool at_end_ = false;
    std::optional<Error> error_;
};

}  // namespace flowkin
