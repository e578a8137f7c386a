// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "event_source.hpp"
#include "netlink/capture_file.hpp"
#include "packet_source.hpp"
#include "pipeline/pipeline.hpp"
#include "reliable_destroy.hpp"
#include "sink/event_log.hpp"

namespace flowkin {

/// The way from the sockets through the pipeline into the log, and the account of what was lost on it. All
/// activities go it: they differ in when they read, not in what becomes of what was read.
///
/// What the log cannot take it drops and counts: nothing here ever waits for it.
class Intake {
  public:
    /// A loss is declared before any line of what was read settle_interval after the last declaration, so what a
    /// kill leaves undeclared is not older than `undeclared_at_most`.
    static constexpr std::chrono::milliseconds settle_interval{1000};
    static constexpr std::chrono::milliseconds undeclared_at_most{1100};

    struct Callbacks {
        /// Events were lost at the kernel's socket: the table is no longer what the kernel has.
        std::function<void()> events_lost;
        /// The event socket is of no more use.
        std::function<void(const Error& error)> failed;
    };

    struct Parts {
        EventSource source;
        std::optional<CaptureWriter> capture;
        std::string capture_path;
        PipelineSettings pipeline;
        LineEncoder encoder;
    };

    Intake(Parts parts, Callbacks callbacks);

    void write_to(std::unique_ptr<EventLog> log) { log_ = std::move(log); }
    /// Opens the groups of NFLOG. One that cannot be read is told and left out: the rest goes on.
    void open_packets(boost::asio::io_context& io, std::span<const std::uint16_t> groups);

    /// Reads one batch of events; gives what it held, DatagramArena::batch or more where there may be more.
    std::size_t receive_events();
    /// Reads events until there are none, or so many batches; whether there are none.
    bool drain_events(std::size_t batches);
    /// Reads one batch of packets, and then all events, since those of their flows came before: a packet finds its
    /// flow. While there are more events than a turn takes, the packets wait. Gives what receive_events() gives.
    std::size_t receive_packets();
    /// One datagram of a dump.
    Pipeline::DumpProgress feed_dump(std::span<const std::uint8_t> datagram, WallTime now);

    /// Gives the lines that were made to the log.
    void submit(WallTime now);
    /// A record of flowkin's own, and the lines before it.
    void say(MonitorEvent event);
    void warn(const MonitorWarning& warning);
    /// The texts of the last ones, the oldest first.
    const std::vector<std::string>& warnings() const { return warnings_; }

    /// Declares what was lost since the last time: at the sockets, in the decoder, in the log's queue.
    void settle_events(WallTime now);
    void settle_packets(WallTime now);
    void settle_decoder(WallTime now);
    void settle_log(WallTime now);

    /// Lets the capture's reader see what it holds.
    void flush_capture();

    EventSource& source() { return source_; }
    const EventSource& source() const { return source_; }
    ReliableDestroy& reliable_destroy() { return reliable_destroy_; }
    const ReliableDestroy& reliable_destroy() const { return reliable_destroy_; }
    Pipeline& pipeline() { return pipeline_; }
    const Pipeline& pipeline() const { return pipeline_; }
    FlowTable& table() { return pipeline_.table(); }
    const FlowTable& table() const { return pipeline_.table(); }
    EventLog& log() { return *log_; }
    const EventLog& log() const { return *log_; }
    PacketSource* packets() { return packets_.get(); }  ///< none: no packets are read
    const PacketSource* packets() const { return packets_.get(); }
    /// Lines given to the log so far; each is written, dropped, or on its way.
    std::uint64_t submitted_lines() const { return submitted_lines_; }

  private:
    /// A batch in the packets' arena.
    struct WaitingPackets {
        WallTime received{};
        std::size_t count = 0;
    };

    void capture(std::span<const std::uint8_t> datagram, WallTime now);

    EventSource source_;
    ReliableDestroy reliable_destroy_;
    DatagramArena arena_;
    std::optional<CaptureWriter> capture_;
    std::string capture_path_;
    Pipeline pipeline_;
    std::unique_ptr<PacketSource> packets_;
    std::optional<WaitingPackets> waiting_packets_;
    std::unique_ptr<EventLog> log_;
    Callbacks callbacks_;

    WallTime events_settled_{};
    std::array<std::uint64_t, decode_fault_kinds> declared_faults_{};
    std::uint64_t declared_cut_ = 0;
    std::vector<std::string> warnings_;
    bool not_kernel_said_ = false;
    std::uint64_t submitted_lines_ = 0;
};

}  // namespace flowkin
