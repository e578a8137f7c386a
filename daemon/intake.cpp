// SPDX-License-Identifier: GPL-2.0-or-later
#include "intake.hpp"

#include <spdlog/spdlog.h>

#include <cstring>
#include <utility>

#include "clock.hpp"

namespace flowkin {

namespace {

/// What the event socket may give in a turn before a batch of packets: with more than that, the packets wait.
constexpr std::size_t packet_drain_batches = 64;

/// Lines of a stream of events gather up to this before the log gets them.
constexpr std::size_t submitted_bytes_at_once = 256U << 10U;

constexpr std::size_t warnings_kept = 16;

}  // namespace

Intake::Intake(Parts parts, Callbacks callbacks)
    : source_(std::move(parts.source)),
      capture_(std::move(parts.capture)),
      capture_path_(std::move(parts.capture_path)),
      pipeline_(parts.pipeline, std::move(parts.encoder)),
      callbacks_(std::move(callbacks)) {}

void Intake::open_packets(boost::asio::io_context& io, std::span<const std::uint16_t> groups) {
    if (groups.empty()) {
        return;
    }
    PacketSource::Opened opened = PacketSource::open(io, groups);
    for (const std::string& text : opened.refused) {
        warn({"packet-group-refused", text});
    }
    packets_ = std::move(opened.source);
    if (!packets_) {
        return;
    }
    if (opened.sends_sections) {
        pipeline_.packets().expect_sections();
    }
    pipeline_.packets().name_interfaces([this](std::uint32_t index) {
        return packets_ ? packets_->interface_names().name(index) : std::string_view();
    });
    const WallTime now = wall_clock_now();
    for (const auto& datagram : opened.early) {
        pipeline_.feed(datagram, now);
    }
    packets_->look(pipeline_.packets().missing(), now);
    spdlog::info("logged packets are read, {} a conntrack section of the kernel",
                 opened.sends_sections ? "with" : "without");
}

// ---- receiving

std::size_t Intake::receive_events() {
    const WallTime now = wall_clock_now();
    const EventSource::Batch batch = source_.receive(arena_, now);
    if (batch.error != 0) {
        callbacks_.failed(
            Error{Fault::input_output, std::string("the event socket: ") + std::strerror(batch.error)});
        return 0;
    }
    if (batch.lost) {
        pipeline_.table().note_loss();
    }
    if (source_.loss().open() && now - events_settled_ >= settle_interval) {
        settle_events(now);
    }
    for (const auto datagram : arena_.datagrams()) {
        capture(datagram, now);
    }
    pipeline_.feed(arena_.datagrams(), now);
    // Where there is more, its lines go with these: the writer is woken for as many as make a good write.
    if (batch.taken < DatagramArena::batch || pipeline_.batch().size() >= submitted_bytes_at_once) {
        submit(now);
    }
    return batch.lost ? DatagramArena::batch : batch.taken;
}

bool Intake::drain_events(std::size_t batches) {
    while (batches-- != 0) {
        if (receive_events() == 0) {
            return true;
        }
    }
    return false;
}

std::size_t Intake::receive_packets() {
    if (!waiting_packets_) {
        const Received received = packets_->receive();
        const WallTime now = wall_clock_now();
        if (received.error != 0) {
            settle_packets(now);
            warn({"packets-ended",
                  std::string("packets are not read any more: ") + std::strerror(received.error)});
            packets_.reset();
            return 0;
        }
        waiting_packets_ = {now, received.datagrams + received.cut + received.not_kernel};
    }
    if (!drain_events(packet_drain_batches)) {
        return DatagramArena::batch;
    }
    const WaitingPackets batch = *std::exchange(waiting_packets_, std::nullopt);
    const DatagramArena& arena = packets_->arena();
    for (std::size_t i = 0; i < arena.size(); ++i) {
        capture(arena[i], batch.received);
        pipeline_.feed(arena[i], batch.received);
    }
    packets_->look(pipeline_.packets().missing(), batch.received);
    submit(batch.received);
    return batch.count;
}

Pipeline::DumpProgress Intake::feed_dump(std::span<const std::uint8_t> datagram, WallTime now) {
    capture(datagram, now);
    const Pipeline::DumpProgress progress = pipeline_.feed(datagram, now);
    submit(now);
    return progress;
}

void Intake::capture(std::span<const std::uint8_t> datagram, WallTime now) {
    if (capture_) {
        capture_->write(datagram, now);
    }
}

void Intake::flush_capture() {
    if (capture_ && !capture_->flush()) {
        capture_.reset();
        spdlog::error("the capture {} cannot be written any more and ends with its last whole packet",
                      capture_path_);
    }
}

// ---- writing

void Intake::submit(WallTime now) {
    if (!pipeline_.batch().empty()) {
        settle_log(now);  // with the first lines after it: a later kill must not leave the gap undeclared
        submitted_lines_ += pipeline_.batch().lines();
        log_->submit(pipeline_.batch(), now);
    }
}

void Intake::say(MonitorEvent event) {
    const WallTime now = event.at;
    pipeline_.say(std::move(event));
    submit(now);
}

void Intake::warn(const MonitorWarning& warning) {
    spdlog::warn("{}", warning.text);
    say({wall_clock_now(), warning});
    if (warnings_.size() == warnings_kept) {
        warnings_.erase(warnings_.begin());
    }
    warnings_.push_back(warning.text);
}

}  // namespace flowkin
