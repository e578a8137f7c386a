// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/line_queue.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace flowkin {

namespace {

/// A buffer that grew beyond this while the destination was slow is not kept.
constexpr std::size_t kept_bytes = 4U << 20U;

}  // namespace

void LineQueue::submit(LineBatch& batch, WallTime now, bool write_failed) {
    if (batch.empty()) {
        return;
    }
    dropping_ = (dropping_ && !has_room_again()) || queued_bytes() + batch.size() > capacity_bytes_;
    if (dropping_) {
        lines_dropped_ += batch.lines();
        lines_dropped_unwritable_ += write_failed ? batch.lines() : 0;
        widen_gap({.lines = batch.lines(),
                   .first_sequence = batch.first_sequence(),
                   .last_sequence = batch.last_sequence(),
                   .since = now,
                   .until = now,
                   .write_failed = write_failed});
        batch.clear();
        return;
    }
    submitted_bytes_ += batch.size();
    last_submit_ = now;
    if (back_.empty()) {
        back_since_ = now;
        swap(back_, batch);
    } else {
        back_.append(batch);
        batch.clear();
    }
}

std::optional<LineLoss> LineQueue::take_loss() {
    if (gap_.lines == 0 || (dropping_ && !has_room_again())) {
        return std::nullopt;
    }
    dropping_ = false;
    return std::exchange(gap_, {});
}

LineQueue::Front LineQueue::front(std::size_t limit_bytes) {
    if (front_.empty()) {
        swap(front_, back_);
        front_since_ = back_since_;
    }
    const auto rest = front_.bytes().substr(front_written_bytes_);
    if (limit_bytes < rest.size()) {
        return {rest.substr(0, limit_bytes), std::nullopt};
    }
    return {rest, front_.lines() - front_written_lines_};
}

LineBatch LineQueue::pop(std::size_t bytes, std::uint64_t lines) {
    LineBatch spent;
    written_bytes_ += bytes;
    front_written_bytes_ += bytes;
    front_written_lines_ += lines;
    assert(front_written_bytes_ <= front_.size());
    if (front_written_bytes_ == front_.size()) {
        if (front_.size() > kept_bytes) {
            swap(spent, front_);
        }
        front_.clear();
        front_written_bytes_ = 0;
        front_written_lines_ = 0;
    }
    return spent;
}

std::optional<LineLoss> LineQueue::unwritten(bool write_failed) {
    // Where the front itself spans an earlier gap its first unwritten sequence is not known; the one assumed
    // here is at most too small, so that the range still holds every lost line.
    if (!front_.empty()) {
        widen_gap({.lines = front_.lines() - front_written_lines_,
                   .first_sequence = front_.first_sequence() + front_written_lines_,
                   .last_sequence = front_.last_sequence(),
                   .since = front_since_,
                   .until = last_submit_,
                   .write_failed = write_failed});
    }
    if (!back_.empty()) {
        widen_gap({.lines = back_.lines(),
                   .first_sequence = back_.first_sequence(),
                   .last_sequence = back_.last_sequence(),
                   .since = back_since_,
                   .until = last_submit_,
                   .write_failed = write_failed});
    }
    if (gap_.lines == 0) {
        return std::nullopt;
    }
    return std::exchange(gap_, {});
}

void LineQueue::widen_gap(const LineLoss& loss) {
    if (gap_.lines == 0) {
        gap_ = loss;
        return;
    }
    gap_.lines += loss.lines;
    gap_.first_sequence = std::min(gap_.first_sequence, loss.first_sequence);
    gap_.last_sequence = std::max(gap_.last_sequence, loss.last_sequence);
    gap_.since = std::min(gap_.since, loss.since);
    gap_.until = std::max(gap_.until, loss.until);
    gap_.write_failed = gap_.write_failed || loss.write_failed;
}

}  // namespace flowkin
