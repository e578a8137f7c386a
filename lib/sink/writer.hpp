// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/line_batch.hpp"
#include "base/time.hpp"
#include "sink/destination.hpp"
#include "sink/event_log.hpp"
#include "sink/line_queue.hpp"

namespace flowkin {

/// What the two threads of an EventLog share: the queue, its lock, and the writer's life.
///
/// run() repeats one step: wait for something to do, take what lies in front, write it without the lock, book
/// what became of it. Failure is a state of the writer and not of the queue, which just stays as full as it
/// is: the next step waits a while and tries again.
///
/// Reopening and rotating are requests that hold a place in the stream of bytes: a write never reaches beyond
/// it, and when all before it is written the request is done.
class Writer {
  public:
    Writer(std::unique_ptr<Destination> destination, std::size_t queue_bytes, EventLog::Callbacks callbacks);

    // The thread that makes the lines.
    void submit(LineBatch& batch, WallTime now);
    std::optional<LineLoss> take_loss();
    void reopen();
    void rotate();
    void set_rotation(std::uint64_t rotate_bytes, unsigned rotate_keep);
    EventLogCounters counters();
    std::uint64_t heartbeat();
    /// Asks run() to write what is queued and to return. False: it did not in time, and is on its own from
    /// now on.
    bool finish(std::chrono::milliseconds deadline);
    /// After finish(): what was not written.
    std::optional<LineLoss> unwritten();

    // The writer thread.
    void run();

  private:
    using Clock = std::chrono::steady_clock;
    using Lock = std::unique_lock<std::mutex>;

    struct Request {
        std::size_t at_byte = 0;
        bool reopen = false;
        bool rotate = false;
    };
    struct Rotation {
        std::uint64_t bytes;
        unsigned keep;
    };

    bool step();
    void wait_for_work(Lock& lock);
    bool has_work() const;
    bool request_is_due() const;
    void fulfil_request(Lock& lock);
    void book(const Written& written, std::uint64_t lines);
    bool is_over() const;
    void announce(WriteOutcome outcome, bool caught_up);
    void ask(const Request& request);

    std::unique_ptr<Destination> destination_;  // the writer thread's own, closed at its end

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable finished_changed_;
    LineQueue queue_;
    std::optional<Request> request_;
    std::optional<Rotation> rotation_;
    EventLogCounters counters_;
    std::uint64_t beats_ = 0;
    bool idle_ = false;       // waits for the first line
    bool gathering_ = false;  // waits a moment for more of them
    bool failing_ = false;    // the last write failed
    bool ended_ = false;
    bool closing_ = false;
    bool finished_ = false;
    bool abandoned_ = false;
    Clock::time_point close_by_{};
    Clock::time_point next_write_{};
    Clock::duration backoff_{};

    std::mutex callbacks_mutex_;  // apart, so that a callback may ask the log
    EventLog::Callbacks callbacks_;
    std::string announced_trouble_;  // the writer thread's own
};

}  // namespace flowkin
