// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "sink/destination.hpp"

namespace flowkin {

/// Standard output, whatever stands behind it, written so that a slow reader holds up no more than he must.
///
/// The open file behind fd 1 is shared with whoever else holds it, a shell for one, so it must not be made
/// non-blocking. A pipe or a terminal is therefore opened once more under /proc/self/fd, which gives a
/// description of our own; a socket (journald) takes MSG_DONTWAIT. What cannot be opened again (no /proc,
/// another user's pipe) is polled first and written in pieces that a pipe with room takes whole.
///
/// A line may be torn for a while, never for good: the rest of it is the first to be written next.
class StandardOutput final : public Destination {
  public:
    /// `fd` stays the caller's, who may close it: it is duplicated.
    static Result<std::unique_ptr<Destination>> open(int fd);

    Written write(std::string_view lines) override;
    const std::string& trouble() const override { return trouble_; }

  private:
    enum class Kind : std::uint8_t { file, socket, reopened, shared };

    StandardOutput(UniqueFd fd, Kind kind)
        : fd_(std::move(fd)), kind_(kind), terminal_(::isatty(fd_.get()) == 1) {}
    static Kind kind_of(mode_t mode);
    bool wait_writable() const;

    UniqueFd fd_;
    Kind kind_;
    bool terminal_;  // asked while it is there: one that hung up denies it
    std::string trouble_;
};

}  // namespace flowkin
