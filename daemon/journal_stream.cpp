// SPDX-License-Identifier: GPL-2.0-or-later
#include "journal_stream.hpp"

#include <sys/socket.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace flowkin {

namespace {

/// Level prefixes, as "<4>", are read. Where there is no journal, what standard error is.
UniqueFd open_stream() {
    UniqueFd stream(::sd_journal_stream_fd("flowkin", LOG_INFO, 1));
    return stream ? std::move(stream) : UniqueFd(::dup(STDERR_FILENO));
}

}  // namespace

JournalStream::JournalStream() : stream_(open_stream()) {}

void JournalStream::sink_it_(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    const auto send = [&] {
        return ::send(stream_.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    };
    if (send() < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        stream_ = open_stream();
        send();
    }
}

}  // namespace flowkin
