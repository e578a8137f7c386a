// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/line_batch.hpp"
#include "base/time.hpp"
#include "sink/event_log.hpp"

namespace flowkin {

/// Lines between the thread that makes them and the thread that writes them, bounded by their bytes.
///
/// Two buffers: lines gather at the back while the front is written, and the two are swapped when the front
/// is used up. What does not fit is dropped whole and remembered as one gap, which ends when the queue is
/// half empty.
///
/// Not locked here: every call is made under the writer's lock. Only the bytes of front() may be read without
/// it, for they stay as they are until pop() has taken the last of them.
class LineQueue {
  public:
    explicit LineQueue(std::size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

    /// Takes or drops all lines of `batch`, and leaves it empty. `write_failed` is remembered with a drop.
    void submit(LineBatch& batch, WallTime now, bool write_failed);
    /// The gap, if it has ended and was not taken before.
    std::optional<LineLoss> take_loss();

    struct Front {
        std::string_view bytes;
        std::optional<std::uint64_t> lines;  ///< known where `bytes` is all that the front holds
    };
    /// What is to be written next, at most `limit_bytes` of it.
    Front front(std::size_t limit_bytes);
    /// Takes from the front what has been written. Returns memory that is better freed without the lock.
    LineBatch pop(std::size_t bytes, std::uint64_t lines);

    /// The gap and all that is still queued, as lost. Call it last.
    std::optional<LineLoss> unwritten(bool write_failed);

    bool empty() const { return queued_bytes() == 0; }
    std::size_t queued_bytes() const { return submitted_bytes_ - written_bytes_; }
    std::size_t submitted_bytes() const { return submitted_bytes_; }
    std::size_t written_bytes() const { return written_bytes_; }
    std::uint64_t lines_dropped() const { return lines_dropped_; }
    /// Of these: while writing had failed.
    std::uint64_t lines_dropped_unwritable() const { return lines_dropped_unwritable_; }

  private:
    bool has_room_again() const { return queued_bytes() <= capacity_bytes_ / 2; }
    void widen_gap(const LineLoss& loss);

    const std::size_t capacity_bytes_;
    LineBatch back_;
    LineBatch front_;
    WallTime back_since_{};
    WallTime front_since_{};
    WallTime last_submit_{};
    std::size_t front_written_bytes_ = 0;
    std::uint64_t front_written_lines_ = 0;
    std::size_t submitted_bytes_ = 0;
    std::size_t written_bytes_ = 0;
    std::uint64_t lines_dropped_ = 0;
    std::uint64_t lines_dropped_unwritable_ = 0;
    LineLoss gap_;
    bool dropping_ = false;
};

}  // namespace flowkin
