// SPDX-License-Identifier: GPL-2.0-or-later
#include "diagnostic_stream.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

namespace flowkin {
namespace {

/// True where journald itself is at the other end of standard error: its socket has this path, that of a log namespace a
/// longer one.
bool journald_listens() {
    union {
        sockaddr any;
        sockaddr_un local;
    } peer{};
    socklen_t bytes = sizeof peer;
    if (::getpeername(STDERR_FILENO, &peer.any, &bytes) != 0 || peer.any.sa_family != AF_UNIX ||
        bytes <= offsetof(sockaddr_un, sun_path)) {
        return false;
    }
    const std::string_view path(peer.local.sun_path, bytes - offsetof(sockaddr_un, sun_path));
    return path.starts_with("/run/systemd/journal");
}

UniqueFd open_stream(DiagnosticStream::To to) {
    UniqueFd stream;
    if (to == DiagnosticStream::To::journal) {
        constexpr int reads_level_prefix = 1;
        stream.reset(::sd_journal_stream_fd("flowkin", LOG_INFO, reads_level_prefix));
    }
    return stream ? std::move(stream)
                  : UniqueFd(::dup(STDERR_FILENO));  // where there is no journal after all
}

}  // namespace

DiagnosticStream::DiagnosticStream(To to)
    : to_(to == To::journal && journald_listens() ? To::journal : To::standard_error),
      stream_(open_stream(to_)) {}

void DiagnosticStream::sink_it_(const spdlog::details::log_msg& message) {
    say_dropped();
    const std::string line = formatted(message);
    Outcome outcome = dropped_ == 0 ? write(line) : Outcome::full;
    if (outcome == Outcome::broken && to_ == To::journal) {
        stream_ = open_stream(to_);
        outcome = write(line);
    }
    if (outcome == Outcome::full) {
        ++dropped_;
    }
}

void DiagnosticStream::say_dropped() {
    if (dropped_ == 0) {
        return;
    }
    const std::string text = std::to_string(dropped_) + " diagnostics were dropped: nobody read them";
    if (write(formatted({{}, spdlog::level::warn, text})) != Outcome::full) {
        dropped_ = 0;
    }
}

std::string DiagnosticStream::formatted(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    return {line.data(), line.size()};
}

/// A line is so short that a socket or a pipe takes it whole or not at all.
DiagnosticStream::Outcome DiagnosticStream::write(std::string_view line) {
    ssize_t written = ::send(stream_.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0 && errno == ENOTSOCK) {
        pollfd polled{.fd = stream_.get(), .events = POLLOUT, .revents = 0};
        if (::poll(&polled, 1, 0) == 0) {
            return Outcome::full;
        }
        written = ::write(stream_.get(), line.data(), line.size());
    }
    if (written >= 0) {
        return Outcome::written;
    }
    return errno == EAGAIN || errno == EINTR ? Outcome::full : Outcome::broken;
}

}  // namespace flowkin
