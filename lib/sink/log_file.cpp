// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/log_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/write_advice.hpp"

namespace flowkin {

namespace {

constexpr std::size_t largest_write = 1U << 20U;
constexpr std::size_t longest_torn_line = 64U << 10U;
constexpr std::chrono::seconds look_interval{1};
constexpr std::chrono::seconds rotation_retry{10};

/// The longest prefix of whole lines within `limit` bytes; empty where the first line is longer.
std::string_view whole_lines(std::string_view lines, std::size_t limit) {
    const auto end = lines.substr(0, limit).rfind('\n');
    return end == std::string_view::npos ? std::string_view{} : lines.substr(0, end + 1);
}

std::string_view first_line(std::string_view lines) {
    return lines.substr(0, lines.find('\n') + 1);
}

/// Before it is opened, for opening some devices does something to them.
Result<void> check_kind(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        return {};  // open() will tell
    }
    if (S_ISLNK(status.st_mode)) {
        return fail(Fault::input_output,
                    path + " is a symbolic link, which is not followed: name the file itself");
    }
    if (S_ISDIR(status.st_mode)) {
        return fail(Fault::input_output, path + " is a folder: name a file in it");
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(Fault::input_output, path + " is not a regular file");
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Destination>> LogFile::open(FileSettings settings) {
    std::unique_ptr<LogFile> file(new LogFile(std::move(settings)));
    if (auto opened = file->open_path(); !opened) {
        return tl::unexpected(std::move(opened.error()));
    }
    return file;
}

Result<void> LogFile::open_path() {
    const auto& path = settings_.path;
    if (auto kind = check_kind(path); !kind) {
        return kind;
    }
    // Read too: for the last line. Not blocking: should it have become a pipe since.
    UniqueFd fd(::open(path.c_str(),
                       O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return fail(Fault::input_output, "cannot open " + path + ": " + why_not_writable(path, errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(Fault::input_output, path + " is not a regular file");
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return fail(Fault::input_output, path + " is locked by another program: is flowkin running already?");
    }
    fd_ = std::move(fd);
    device_ = status.st_dev;
    inode_ = status.st_ino;
    size_bytes_ = static_cast<std::uint64_t>(status.st_size);
    torn_bytes_ = 0;
    next_look_ = Clock::now() + look_interval;
    auto cut = cut_torn_tail();
    if (!cut) {
        fd_.reset();
    }
    return cut;
}

/// A crash or a power loss may have left a part of a line, or zeros where its bytes should be. What looks
/// otherwise was not written by us and is not ours to cut.
Result<void> LogFile::cut_torn_tail() {
    std::vector<char> tail(std::min<std::uint64_t>(size_bytes_, longest_torn_line));
    const auto start = size_bytes_ - tail.size();
    std::size_t read = 0;
    while (read < tail.size()) {
        const auto got =
            ::pread(fd_.get(), tail.data() + read, tail.size() - read, static_cast<off_t>(start + read));
        if (got <= 0) {
            return fail(Fault::input_output, "cannot read the end of " + settings_.path + ": " +
                                                 (got < 0 ? std::strerror(errno) : "it became shorter"));
        }
        read += static_cast<std::size_t>(got);
    }
    const auto whole = whole_lines({tail.data(), tail.size()}, tail.size()).size();
    if (whole == tail.size()) {
        return {};
    }
    const bool ours = (whole != 0 || start == 0) && (tail[whole] == '{' || tail[whole] == '\0');
    if (!ours) {
        return fail(Fault::input_output,
                    settings_.path + " does not end in a line of this log: move it away");
    }
    torn_bytes_ = tail.size() - whole;
    if (!cut_back()) {
        return fail(Fault::input_output,
                    "cannot cut the torn last line off " + settings_.path + ": " + std::strerror(errno));
    }
    return {};
}

Written LogFile::write(std::string_view lines) {
    if (!make_ready()) {
        return {.bytes = 0, .outcome = WriteOutcome::failed};
    }
    const auto chunk = fitting(lines);
    if (chunk.empty()) {
        return {.bytes = 0, .outcome = WriteOutcome::failed};
    }
    std::size_t written = 0;
    int error = 0;
    while (written < chunk.size() && error == 0) {
        const auto count = ::write(fd_.get(), chunk.data() + written, chunk.size() - written);
        if (count >= 0) {
            written += static_cast<std::size_t>(count);
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    size_bytes_ += written;
    if (error == 0) {
        write_trouble_.clear();
        return {.bytes = written, .outcome = WriteOutcome::written};
    }
    write_trouble_ = "cannot write " + settings_.path + ": " + std::strerror(error);
    const auto whole = whole_lines(chunk, written).size();
    torn_bytes_ = written - whole;
    cut_back();  // or else before the next write
    return {.bytes = whole, .outcome = WriteOutcome::failed};
}

/// A file that is open, ours, and ends in a whole line.
bool LogFile::make_ready() {
    if (!fd_ || (Clock::now() >= next_look_ && !leads_here())) {
        reopen();
    }
    return fd_ && cut_back();
}

/// The lines that fit into the file, which is rotated first where none does.
std::string_view LogFile::fitting(std::string_view lines) {
    const auto all = lines.size() <= largest_write ? lines : whole_lines(lines, largest_write);
    const auto chunk = all.empty() ? first_line(lines) : all;
    const auto limit = settings_.rotate_bytes;
    if (limit == 0 || size_bytes_ + chunk.size() <= limit) {
        return chunk;
    }
    const auto room = limit - std::min(limit, size_bytes_);
    if (const auto fit = whole_lines(chunk, room); !fit.empty()) {
        return fit;
    }
    if (Clock::now() >= next_rotation_) {
        rotate();
        if (!fd_) {
            return {};
        }
    }
    if (size_bytes_ != 0) {
        return chunk;  // it could not be rotated, and goes on
    }
    const auto fit = whole_lines(chunk, limit);
    return fit.empty() ? first_line(chunk) : fit;
}

void LogFile::reopen() {
    if (fd_) {
        cut_back();
        fd_.reset();  // and its lock with it: the path may lead to the same file
    }
    if (auto opened = open_path(); !opened) {
        write_trouble_ = std::move(opened.error().text);
    }
}

void LogFile::rotate() {
    if (!make_ready()) {
        return;
    }
    if (!leads_here()) {
        reopen();  // somebody else moved it; what is there now is not ours to rename
        return;
    }
    if (size_bytes_ == 0) {
        return;
    }
    struct stat status {};
    ::fstat(fd_.get(), &status);
    if (auto added = rotated_.add(status.st_mtime); !added) {
        rotation_trouble_ = std::move(added.error().text);
        next_rotation_ = Clock::now() + rotation_retry;
        return;
    }
    ++rotations_;
    reopen();
    if (auto pruned = rotated_.prune(settings_.rotate_keep); !pruned) {
        rotation_trouble_ = std::move(pruned.error().text);
    } else {
        rotation_trouble_.clear();
    }
}

void LogFile::set_rotation(std::uint64_t rotate_bytes, unsigned rotate_keep) {
    settings_.rotate_bytes = rotate_bytes;
    settings_.rotate_keep = rotate_keep;
    next_rotation_ = {};
}

/// Whether the path still leads to the open file; learns its size on the way, should somebody have truncated
/// it.
bool LogFile::leads_here() {
    struct stat status {};
    if (::lstat(settings_.path.c_str(), &status) != 0 || status.st_dev != device_ ||
        status.st_ino != inode_) {
        return false;
    }
    size_bytes_ = static_cast<std::uint64_t>(status.st_size);
    next_look_ = Clock::now() + look_interval;
    return true;
}

/// Cuts off the part of a line that a failed write left behind.
bool LogFile::cut_back() {
    if (torn_bytes_ == 0) {
        return true;
    }
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) {
        return false;
    }
    const auto torn = std::min(status.st_size, static_cast<off_t>(torn_bytes_));
    if (::ftruncate(fd_.get(), status.st_size - torn) != 0) {
        return false;
    }
    size_bytes_ = static_cast<std::uint64_t>(status.st_size - torn);
    torn_bytes_ = 0;
    return true;
}

}  // namespace flowkin
