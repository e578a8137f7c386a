// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

namespace flowkin {

/// Whole lines on their way from the encoder to the sink, and the event.sequence numbers they bear.
///
/// A batch keeps its memory when it is cleared or swapped, so that a running daemon does not allocate an
/// event. Bytes past the end are not initialised: the encoder writes into them and then commits.
class LineBatch {
  public:
    LineBatch() = default;
    LineBatch(LineBatch&& other) noexcept { swap(*this, other); }
    LineBatch& operator=(LineBatch&& other) noexcept {
        swap(*this, other);
        return *this;
    }

    /// Where at least `room` bytes may be written; valid until the next call. Follow with commit().
    char* reserve(std::size_t room) {
        if (capacity_ - size_ < room) {
            grow(room);
        }
        return bytes_.get() + size_;
    }

    /// What was written since reserve() is one whole line, newline included, that bears `sequence`.
    void commit(std::size_t length, std::uint64_t sequence) {
        size_ += length;
        if (lines_++ == 0) {
            first_sequence_ = sequence;
        }
        last_sequence_ = sequence;
    }

    /// Appends all lines of `other`, which must follow this batch's in sequence.
    void append(const LineBatch& other) {
        if (other.empty()) {
            return;
        }
        std::memcpy(reserve(other.size_), other.bytes_.get(), other.size_);
        size_ += other.size_;
        if (lines_ == 0) {
            first_sequence_ = other.first_sequence_;
        }
        lines_ += other.lines_;
        last_sequence_ = other.last_sequence_;
    }

    void clear() { size_ = lines_ = 0; }
    bool empty() const { return lines_ == 0; }
    std::string_view bytes() const { return {bytes_.get(), size_}; }
    std::size_t size() const { return size_; }
    std::uint64_t lines() const { return lines_; }
    std::uint64_t first_sequence() const { return first_sequence_; }
    std::uint64_t last_sequence() const { return last_sequence_; }

    friend void swap(LineBatch& a, LineBatch& b) noexcept {
        std::swap(a.bytes_, b.bytes_);
        std::swap(a.capacity_, b.capacity_);
        std::swap(a.size_, b.size_);
        std::swap(a.lines_, b.lines_);
        std::swap(a.first_sequence_, b.first_sequence_);
        std::swap(a.last_sequence_, b.last_sequence_);
    }

  private:
    void grow(std::size_t room) {
        constexpr std::size_t first_capacity = 65'536;
        std::size_t capacity = capacity_ == 0 ? first_capacity : capacity_ * 2;
        while (capacity - size_ < room) {
            capacity *= 2;
        }
        // realloc() moves the pages of a large buffer and not its bytes.
        void* bytes = std::realloc(bytes_.get(), capacity);
        if (bytes == nullptr) {
            throw std::bad_alloc();
        }
        (void)bytes_.release();
        bytes_.reset(static_cast<char*>(bytes));
        capacity_ = capacity;
    }

    struct Free {
        void operator()(char* bytes) const { std::free(bytes); }
    };
    std::unique_ptr<char, Free> bytes_;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
    std::uint64_t lines_ = 0;
    std::uint64_t first_sequence_ = 0;
    std::uint64_t last_sequence_ = 0;
};

}  // namespace flowkin
