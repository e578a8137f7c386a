// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config.hpp"
#include "event_source.hpp"
#include "netlink/capture_file.hpp"
#include "netlink/kernel_state.hpp"
#include "options.hpp"
#include "packet_source.hpp"
#include "pipeline/pipeline.hpp"
#include "recovery.hpp"
#include "reliable_destroy.hpp"
#include "service.hpp"
#include "sink/event_log.hpp"
#include "state_keeper.hpp"

namespace flowkin {

/// The daemon at work: one io_context, one thread, one coroutine an activity.
///
///   pump       waits for the event socket, receives a batch, feeds the pipeline, gives the lines to the log
///   packets    the same for logged packets, where there are groups of them: a batch at a time, and before each what the
///              event socket holds, so that a packet finds its flow and nothing waits for packets
///   reconcile  dumps the kernel's table on a socket of its own: at the start, after a loss, on a timer, on request
///   keep       after the first dump and each [state] interval: the table to disk, in slices; another thread writes and syncs
///   tick       once a second: losses, statistics, the watchdog
///   signals    TERM and INT end, HUP reloads and reopens, USR1 asks for a reconcile
///
/// The pump never waits for the log: what the log cannot take it drops and counts. To end is to read what is
/// queued, to say monitor-stop, and to give the log a while to write.
class Monitor {
  public:
    /// Opens all that can fail. An error says why the daemon cannot start.
    static Result<std::unique_ptr<Monitor>> create(const Options& options, const Config& config);
    ~Monitor();
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    /// Runs until a signal or a failure ends it; the error is why it could not go on.
    Result<void> run();

  private:
    struct Parts;
    explicit Monitor(Parts parts);

    void spawn(boost::asio::awaitable<void> activity);
    boost::asio::awaitable<void> pump();
    boost::asio::awaitable<void> packets();
    boost::asio::awaitable<void> reconcile();
    boost::asio::awaitable<void> tick();
    boost::asio::awaitable<void> keep();
    boost::asio::awaitable<void> signals();

    enum class DumpResult : std::uint8_t { complete, interrupted, failed };
    boost::asio::awaitable<DumpResult> dump();
    boost::asio::awaitable<void> sweep();
    boost::asio::awaitable<bool> all_written();
    StateHeader state_header(bool clean) const;
    std::string log_path() const;
    void recover_table();

    std::size_t receive_batch();
    std::size_t receive_packets();
    void drain(std::size_t batches);
    void settle_loss(WallTime now);
    void settle_packet_loss(WallTime now);
    void start_packets();
    void declare_sink_loss(WallTime now);
    void declare_decode_faults(WallTime now);
    void say_statistics(WallTime now);
    void submit(WallTime now);
    void request_reconcile(ReconcileCause cause);
    void reload();
    void warn(const MonitorWarning& warning);
    void say_start();
    void say_pause(WallTime now);
    void end(std::string reason, std::optional<Error> error = std::nullopt);
    Result<void> finish();
    MonitorCounters counters() const;
    std::string status_text() const;

    Options options_;
    Config config_;
    RunId run_;
    KernelState kernel_;
    boost::asio::io_context io_;
    EventSource source_;
    boost::asio::posix::stream_descriptor readable_;  // the source's descriptor, which stays the source's
    DatagramArena arena_;
    ReliableDestroy reliable_destroy_;
    std::optional<CaptureWriter> capture_;
    Pipeline pipeline_;
    std::unique_ptr<PacketSource> packets_;  // none: no packets are read
    std::unique_ptr<EventLog> log_;
    Service service_;
    boost::asio::signal_set signals_;
    boost::asio::steady_timer tick_timer_;
    boost::asio::steady_timer nap_timer_;
    boost::asio::steady_timer reconcile_timer_;
    boost::asio::steady_timer keep_timer_;
    StateKeeper keeper_;
    Recovery recovery_;
    WallTime loss_settled_{};
    std::vector<std::uint8_t> dump_buffer_;

    std::optional<ReconcileCause> wanted_reconcile_;
    bool reconciled_once_ = false;
    bool ending_ = false;
    std::string end_reason_;
    std::optional<Error> end_error_;
    std::array<std::uint64_t, decode_fault_kinds> declared_faults_{};
    std::uint64_t declared_cut_ = 0;
    bool not_kernel_said_ = false;
    std::uint64_t submitted_lines_ = 0;
    std::uint64_t heartbeat_ = 0;
    std::uint64_t ticks_ = 0;
    WallTime stats_said_{};
    MonitorCounters stats_;
};

}  // namespace flowkin
