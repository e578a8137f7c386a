// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/writer.hpp"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

namespace flowkin {

namespace {

using std::chrono::milliseconds;

/// A busy writer begins its writes this far apart, so that there is more in each: what the latency of an
/// event may cost at most, unless `gathered_bytes` come sooner.
constexpr milliseconds gather_interval{1};
constexpr std::size_t gathered_bytes = 256U << 10U;

constexpr milliseconds shortest_backoff{100};
constexpr milliseconds longest_backoff{2000};

/// How long after its deadline close() still hopes for the writer.
constexpr milliseconds close_grace{75};

std::uint64_t count_lines(std::string_view bytes) {
    std::uint64_t lines = 0;
    for (std::size_t at = bytes.find('\n'); at != std::string_view::npos; at = bytes.find('\n', at + 1)) {
        ++lines;
    }
    return lines;
}

}  // namespace

Writer::Writer(std::unique_ptr<Destination> destination, std::size_t queue_bytes,
               EventLog::Callbacks callbacks)
    : destination_(std::move(destination)), queue_(queue_bytes), callbacks_(std::move(callbacks)) {}

void Writer::submit(LineBatch& batch, WallTime now) {
    Lock lock(mutex_);
    queue_.submit(batch, now, failing_);
    const bool wake = has_work() && (idle_ || (gathering_ && queue_.queued_bytes() >= gathered_bytes));
    if (wake) {
        idle_ = gathering_ = false;  // told once
        lock.unlock();
        work_.notify_one();
    }
}

std::optional<LineLoss> Writer::take_loss() {
    const Lock lock(mutex_);
    return queue_.take_loss();
}

void Writer::reopen() {
    ask({.reopen = true});
}

void Writer::rotate() {
    ask({.rotate = true});
}

void Writer::ask(const Request& request) {
    {
        const Lock lock(mutex_);
        const Request earlier = request_.value_or(Request{});
        request_ = Request{.at_byte = queue_.submitted_bytes(),
                           .reopen = earlier.reopen || request.reopen,
                           .rotate = earlier.rotate || request.rotate};
        idle_ = gathering_ = false;
    }
    work_.notify_one();
}

void Writer::set_rotation(std::uint64_t rotate_bytes, unsigned rotate_keep) {
    const Lock lock(mutex_);
    rotation_ = Rotation{rotate_bytes, rotate_keep};
}

EventLogCounters Writer::counters() {
    const Lock lock(mutex_);
    auto counters = counters_;
    counters.lines_dropped = queue_.lines_dropped();
    counters.lines_dropped_unwritable = queue_.lines_dropped_unwritable();
    counters.queued_bytes = queue_.queued_bytes();
    counters.failing = failing_;
    return counters;
}

std::uint64_t Writer::heartbeat() {
    const Lock lock(mutex_);
    if (idle_) {
        ++beats_;
    }
    return beats_;
}

bool Writer::finish(milliseconds deadline) {
    Lock lock(mutex_);
    closing_ = true;
    close_by_ = Clock::now() + deadline;
    work_.notify_one();
    if (finished_changed_.wait_until(lock, close_by_ + close_grace, [this] { return finished_; })) {
        return true;
    }
    abandoned_ = true;
    lock.unlock();
    const Lock callbacks_lock(callbacks_mutex_);
    callbacks_ = {};
    return false;
}

std::optional<LineLoss> Writer::unwritten() {
    const Lock lock(mutex_);
    return queue_.unwritten(failing_);
}

void Writer::run() {
    while (step()) {
    }
    destination_.reset();
    const Lock lock(mutex_);
    finished_ = true;
    finished_changed_.notify_all();
}

bool Writer::step() {
    LineBatch spent;  // outlives the lock
    Lock lock(mutex_);
    wait_for_work(lock);
    ++beats_;
    if (is_over()) {
        return false;
    }
    if (rotation_) {
        destination_->set_rotation(rotation_->bytes, rotation_->keep);
        rotation_.reset();
    }
    if (request_is_due()) {
        fulfil_request(lock);
        return !abandoned_;
    }
    if (queue_.empty() || ended_) {
        return true;
    }
    const auto limit =
        request_ ? request_->at_byte - queue_.written_bytes() : std::numeric_limits<std::size_t>::max();
    const auto front = queue_.front(limit);
    const auto begun = Clock::now();
    next_write_ = begun + gather_interval;
    lock.unlock();

    const auto written = destination_->write(front.bytes);
    const auto took = Clock::now() - begun;
    const bool all = written.bytes == front.bytes.size();
    const auto lines = all && front.lines ? *front.lines : count_lines(front.bytes.substr(0, written.bytes));
    announce(written.outcome, all);

    lock.lock();
    if (abandoned_) {
        return false;
    }
    spent = queue_.pop(written.bytes, lines);
    counters_.latency.book(took);
    book(written, lines);
    return !(closing_ && failing_);  // the last try was made
}

/// Returns at once where the last write left something behind and did not fail: the destination sets the
/// pace.
void Writer::wait_for_work(Lock& lock) {
    if (failing_ && !ended_) {
        work_.wait_until(lock, Clock::now() + backoff_, [this] { return closing_; });
    } else if (!has_work()) {
        idle_ = true;
        work_.wait(lock, [this] { return has_work(); });
        idle_ = false;
    } else if (queue_.queued_bytes() < gathered_bytes && Clock::now() < next_write_) {
        gathering_ = true;
        work_.wait_until(lock, next_write_, [this] { return !gathering_ || closing_; });
        gathering_ = false;
    }
}

bool Writer::has_work() const {
    return closing_ || request_is_due() || (!queue_.empty() && !ended_);
}

bool Writer::request_is_due() const {
    return request_ && queue_.written_bytes() >= request_->at_byte;
}

bool Writer::is_over() const {
    return abandoned_ ||
           (closing_ && (ended_ || (queue_.empty() && !request_is_due()) || Clock::now() >= close_by_));
}

void Writer::fulfil_request(Lock& lock) {
    const auto request = *std::exchange(request_, std::nullopt);
    lock.unlock();
    if (request.reopen) {
        destination_->reopen();
    }
    if (request.rotate) {
        destination_->rotate();
    }
    announce(WriteOutcome::written, true);
    lock.lock();
    counters_.rotations = destination_->rotations();
}

void Writer::book(const Written& written, std::uint64_t lines) {
    counters_.bytes_written += written.bytes;
    counters_.lines_written += lines;
    counters_.rotations = destination_->rotations();
    switch (written.outcome) {
        case WriteOutcome::written:
        case WriteOutcome::waiting:
            failing_ = false;
            backoff_ = {};
            break;
        case WriteOutcome::ended:
            ended_ = true;
            [[fallthrough]];
        case WriteOutcome::failed:
            ++counters_.write_errors;
            failing_ = true;
            backoff_ = std::clamp<Clock::duration>(backoff_ * 2, shortest_backoff, longest_backoff);
            break;
    }
}

/// Recovery is told when the backlog is written too, so that a disk on the edge of full does not make a line
/// each try.
void Writer::announce(WriteOutcome outcome, bool caught_up) {
    const auto& trouble = destination_->trouble();
    if (outcome == WriteOutcome::ended) {
        const Lock lock(callbacks_mutex_);
        if (callbacks_.ended) {
            callbacks_.ended(trouble);
        }
        return;
    }
    if (trouble == announced_trouble_ || (trouble.empty() && !caught_up)) {
        return;
    }
    announced_trouble_ = trouble;
    const Lock lock(callbacks_mutex_);
    if (!trouble.empty() && callbacks_.failing) {
        callbacks_.failing(trouble);
    }
    if (trouble.empty() && callbacks_.recovered) {
        callbacks_.recovered();
    }
}

}  // namespace flowkin
