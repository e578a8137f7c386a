// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/event_log.hpp"

#include <pthread.h>

#include <csignal>
#include <utility>

#include "sink/destination.hpp"
#include "sink/log_file.hpp"
#include "sink/standard_output.hpp"
#include "sink/writer.hpp"

namespace flowkin {

namespace {

/// A thread inherits its maker's signal mask: all blocked, for the writer wants none of them.
std::thread start(const std::shared_ptr<Writer>& writer) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread thread([writer] { writer->run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread.native_handle(), "writer");
    return thread;
}

}  // namespace

Result<std::unique_ptr<EventLog>> EventLog::open(EventLogSettings settings, Callbacks callbacks) {
    auto destination = settings.file ? LogFile::open(*std::move(settings.file))
                                     : StandardOutput::open(settings.standard_output);
    if (!destination) {
        return tl::unexpected(std::move(destination.error()));
    }
    auto writer =
        std::make_shared<Writer>(*std::move(destination), settings.queue_bytes, std::move(callbacks));
    auto thread = start(writer);
    return std::unique_ptr<EventLog>(new EventLog(std::move(writer), std::move(thread)));
}

EventLog::EventLog(std::shared_ptr<Writer> writer, std::thread thread)
    : writer_(std::move(writer)), thread_(std::move(thread)) {}

EventLog::~EventLog() {
    close(std::chrono::seconds(1));
}

void EventLog::submit(LineBatch& batch, WallTime now) {
    writer_->submit(batch, now);
}

std::optional<LineLoss> EventLog::take_loss() {
    return writer_->take_loss();
}

void EventLog::reopen() {
    writer_->reopen();
}

void EventLog::rotate() {
    writer_->rotate();
}

void EventLog::set_rotation(std::uint64_t rotate_bytes, unsigned rotate_keep) {
    writer_->set_rotation(rotate_bytes, rotate_keep);
}

EventLogCounters EventLog::counters() const {
    return writer_->counters();
}

std::uint64_t EventLog::heartbeat() const {
    return writer_->heartbeat();
}

std::optional<LineLoss> EventLog::close(std::chrono::milliseconds deadline) {
    if (!thread_.joinable()) {
        return std::nullopt;
    }
    if (writer_->finish(deadline)) {
        thread_.join();
    } else {
        thread_.detach();
    }
    return writer_->unwritten();
}

}  // namespace flowkin
