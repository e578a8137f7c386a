// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "sink/destination.hpp"
#include "sink/event_log.hpp"
#include "sink/rotated_files.hpp"

namespace flowkin {

/// A regular file of whole lines, and the files it was before.
///
/// We are its only writer, and a lock on the file says so. Hence what a short write left of a torn line is at
/// the very end, and can be cut off; where even that fails it is remembered and cut before anything else is
/// written.
///
/// Rotating is rename, then open. Where the path cannot be opened afterwards there is no file for the time
/// being, and each write tries to open it first: what was renamed is never written again.
class LogFile final : public Destination {
  public:
    static Result<std::unique_ptr<Destination>> open(FileSettings settings);

    /// Writes at most 1 MiB of whole lines; the file's size is kept within rotate_bytes where a single line
    /// allows it.
    Written write(std::string_view lines) override;
    void reopen() override;
    void rotate() override;
    void set_rotation(std::uint64_t rotate_bytes, unsigned rotate_keep) override;
    std::uint64_t rotations() const override { return rotations_; }
    const std::string& trouble() const override {
        return write_trouble_.empty() ? rotation_trouble_ : write_trouble_;
    }

  private:
    using Clock = std::chrono::steady_clock;

    explicit LogFile(FileSettings settings) : settings_(std::move(settings)), rotated_(settings_.path) {}
    Result<void> open_path();
    Result<void> cut_torn_tail();
    bool leads_here();
    bool make_ready();
    std::string_view fitting(std::string_view lines);
    bool cut_back();

    FileSettings settings_;
    RotatedFiles rotated_;
    UniqueFd fd_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    std::uint64_t size_bytes_ = 0;
    std::size_t torn_bytes_ = 0;  // of a line begun at the end of the file
    std::uint64_t rotations_ = 0;
    Clock::time_point next_look_{};
    Clock::time_point next_rotation_{};
    std::string write_trouble_;
    std::string rotation_trouble_;
};

}  // namespace flowkin
