// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/line_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace flowkin {

namespace {

tl::unexpected<Error> cannot_read(const std::string& path, int error) {
    return fail(Fault::input_output, "cannot read " + path + ": " + std::generic_category().message(error));
}

}  // namespace

Result<LineReader> LineReader::open(const std::string& path) {
    const bool standard_input = path == "-";
    const std::string name = standard_input ? "standard input" : path;
    UniqueFd owned;
    if (!standard_input) {
        owned.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (!owned) {
            return cannot_read(name, errno);
        }
    }
    const int fd = standard_input ? STDIN_FILENO : owned.get();
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        return cannot_read(name, errno);
    }
    if (S_ISDIR(status.st_mode)) {
        return cannot_read(name, EISDIR);
    }
    const bool regular = S_ISREG(status.st_mode);
    if (regular) {
        ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return LineReader(name, std::move(owned), fd, regular ? static_cast<std::uint64_t>(status.st_size) : 0);
}

LineReader::LineReader(std::string path, UniqueFd owned, int fd, std::uint64_t file_bytes)
    : path_(std::move(path)),
      owned_(std::move(owned)),
      fd_(fd),
      file_bytes_(file_bytes),
      buffer_(new char[buffer_bytes]) {}

bool LineReader::next(Line& line) {
    std::uint64_t dropped = 0;  // of an overlong line, so far
    std::size_t searched = 0;   // bytes after begin_ that hold no newline
    for (;;) {
        const char* const begin = buffer_.get() + begin_;
        const std::size_t held = end_ - begin_;
        const void* const newline = std::memchr(begin + searched, '\n', held - searched);
        if (newline != nullptr || (at_end_ && held + dropped != 0)) {
            const std::size_t length =
                newline != nullptr ? static_cast<std::size_t>(static_cast<const char*>(newline) - begin)
                                   : held;
            begin_ += newline != nullptr ? length + 1 : length;
            const bool overlong = dropped + length > longest_line;
            line = {overlong ? std::string_view() : std::string_view(begin, length), dropped + length};
            return true;
        }
        if (at_end_) {
            return false;
        }
        searched = held;
        if (held > longest_line) {
            dropped += held;
            begin_ = end_ = searched = 0;
        }
        if (!read_on()) {
            return false;
        }
    }
}

/// Reads more behind what is held. False on an error; the end of the file is none.
bool LineReader::read_on() {
    if (begin_ != 0) {
        std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    ssize_t got = 0;
    do {
        got = ::read(fd_, buffer_.get() + end_, buffer_bytes - end_);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        error_ = cannot_read(path_, errno).value();
        at_end_ = true;
        begin_ = end_ = 0;
        return false;
    }
    at_end_ = got == 0;
    end_ += static_cast<std::size_t>(got);
    return true;
}

}  // namespace flowkin
