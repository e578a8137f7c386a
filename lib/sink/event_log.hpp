// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/line_batch.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "sink/write_latency.hpp"

namespace flowkin {

class Writer;

struct FileSettings {
    std::string path;
    std::uint64_t rotate_bytes = 0;  ///< 0: never
    unsigned rotate_keep = 10;       ///< rotated files kept beside the one being written
};

struct EventLogSettings {
    std::optional<FileSettings> file{};  ///< empty: standard output
    std::size_t queue_bytes = 64U << 20U;
    int standard_output = STDOUT_FILENO;  ///< where `file` is empty; duplicated, so the caller may close it
};

/// Lines that were made and then dropped, because the queue was full: their sequences and when.
struct LineLoss {
    std::uint64_t lines = 0;
    std::uint64_t first_sequence = 0;
    std::uint64_t last_sequence = 0;
    WallTime since{};
    WallTime until{};
    bool write_failed = false;  ///< the destination could not be written at that time (else it was only slow)
};

struct EventLogCounters {
    std::uint64_t lines_written = 0;
    std::uint64_t bytes_written = 0;
    std::uint64_t lines_dropped = 0;
    std::uint64_t lines_dropped_unwritable = 0;  ///< of these: while the destination could not be written
    std::uint64_t write_errors = 0;
    std::uint64_t rotations = 0;
    std::size_t queued_bytes = 0;
    bool failing = false;  ///< the last write failed
    WriteLatency latency;
};

/// The bounded queue and the writer thread behind it. The one thread that makes lines gives them in; it never
/// waits: where the queue is full whole batches are dropped, counted, and their sequences remembered.
///
/// Two buffers, swapped whole. Batches gather in one while the writer writes the other, so that a batch is
/// given over by swap when the writer is idle and by a copy when it is not. Once something was dropped, all
/// is dropped until the queue is half empty: one gap in the sequence, not many. An idle writer writes at
/// once; a busy one begins a write each millisecond at most, so that under load writes are few and large.
/// Where there is nothing to do it sleeps without waking.
///
/// The file: opened for append, mode 0640, never through a link, and locked, so that no two programs write
/// it; a torn last line of an earlier crash is cut off. Rotated by write, rename, open, so that no line
/// follows the rename; reopened on request, and within a second where the path no longer leads to it. A short
/// write or a full disk is cut back to the last whole line, what is left stays in the queue and is tried
/// again. Nothing is lost before the queue is full.
///
/// The writer thread blocks all signals: a closed pipe is an error there, not a SIGPIPE.
class EventLog {
  public:
    /// Called from the writer thread, never after close() has returned; they may ask, but not close, the log.
    struct Callbacks {
        /// A line for the operator, once for each change of what is wrong with writing or rotating.
        std::function<void(const std::string& text)> failing;
        /// Nothing is wrong any more, and what had waited is written.
        std::function<void()> recovered;
        /// Standard output was closed by its reader; nothing can be written any more.
        std::function<void(const std::string& text)> ended;
    };

    /// Opens the destination and starts the writer. A path that is a folder, a link or not writable:
    /// Fault::input_output.
    static Result<std::unique_ptr<EventLog>> open(EventLogSettings settings, Callbacks callbacks);
    /// Closes with a deadline of one second where close() was not called.
    ~EventLog();
    EventLog(const EventLog&) = delete;
    EventLog& operator=(const EventLog&) = delete;

    /// Takes the batch's lines and leaves it empty, whether they were queued or dropped.
    void submit(LineBatch& batch, WallTime now);

    /// A gap that ended, because there is room again: to be written as events-lost. At most one at a time: a
    /// gap that nobody took before the next began grows to include it.
    std::optional<LineLoss> take_loss();

    /// logrotate has moved the file: opens the path anew, after what was submitted before is written.
    void reopen();
    /// Rotates after what was submitted before is written, whatever the size. An empty file stays.
    void rotate();

    void set_rotation(std::uint64_t rotate_bytes, unsigned rotate_keep);
    EventLogCounters counters() const;
    /// What a watchdog looks at: two answers differ, unless the writer was stuck in one write in between. It
    /// moves while the writer writes, each two seconds at least while it waits for its reader or to try
    /// again, and with each question while there is nothing to write.
    std::uint64_t heartbeat() const;

    /// Writes what is queued, for at most `deadline`, and ends the writer. What was not written is told as a
    /// loss. A writer that waits to try again tries once more. Returns in time even where a write never does.
    std::optional<LineLoss> close(std::chrono::milliseconds deadline);

  private:
    EventLog(std::shared_ptr<Writer> writer, std::thread thread);

    std::shared_ptr<Writer> writer_;  // shared with the thread, which a hung write may keep longer than us
    std::thread thread_;
};

}  // namespace flowkin
