// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/standard_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace flowkin {

namespace {

constexpr std::size_t largest_write = 1U << 20U;

/// How long one write waits for the reader: a closing log looks at its deadline this often.
constexpr int patience_ms = 50;

}  // namespace

Result<std::unique_ptr<Destination>> StandardOutput::open(int fd) {
    struct stat status {};
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || ::fstat(fd, &status) != 0) {
        return fail(Fault::input_output, "standard output is not open for writing");
    }
    const auto wanted = kind_of(status.st_mode);
    if (wanted == Kind::reopened) {
        const auto path = "/proc/self/fd/" + std::to_string(fd);
        if (UniqueFd again(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)); again) {
            return std::unique_ptr<Destination>(new StandardOutput(std::move(again), Kind::reopened));
        }
    }
    UniqueFd duplicate(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!duplicate) {
        return fail(Fault::input_output, std::string("cannot use standard output: ") + std::strerror(errno));
    }
    const auto kind = wanted == Kind::reopened ? Kind::shared : wanted;
    return std::unique_ptr<Destination>(new StandardOutput(std::move(duplicate), kind));
}

StandardOutput::Kind StandardOutput::kind_of(mode_t mode) {
    if (S_ISREG(mode)) {
        return Kind::file;
    }
    return S_ISSOCK(mode) ? Kind::socket : Kind::reopened;
}

Written StandardOutput::write(std::string_view lines) {
    if (kind_ == Kind::shared && !wait_writable()) {
        return {.bytes = 0, .outcome = WriteOutcome::waiting};
    }
    const auto length = std::min<std::size_t>(lines.size(), kind_ == Kind::shared ? PIPE_BUF : largest_write);
    const auto written = kind_ == Kind::socket
                             ? ::send(fd_.get(), lines.data(), length, MSG_DONTWAIT | MSG_NOSIGNAL)
                             : ::write(fd_.get(), lines.data(), length);
    if (written >= 0) {
        trouble_.clear();
        return {.bytes = static_cast<std::size_t>(written), .outcome = WriteOutcome::written};
    }
    const int error = errno;
    switch (error) {
        case EAGAIN:
        case EINTR:
            trouble_.clear();
            wait_writable();
            return {.bytes = 0, .outcome = WriteOutcome::waiting};
        case EPIPE:
        case ECONNRESET:
            trouble_ = "standard output was closed by its reader";
            return {.bytes = 0, .outcome = WriteOutcome::ended};
        case EIO:
            if (terminal_) {
                trouble_ = "the terminal is gone";
                return {.bytes = 0, .outcome = WriteOutcome::ended};
            }
            [[fallthrough]];
        default:
            trouble_ = std::string("cannot write to standard output: ") + std::strerror(error);
            return {.bytes = 0, .outcome = WriteOutcome::failed};
    }
}

bool StandardOutput::wait_writable() const {
    pollfd polled{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    return ::poll(&polled, 1, patience_ms) > 0;
}

}  // namespace flowkin
