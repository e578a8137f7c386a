// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config.hpp"
#include "control_server.hpp"
#include "event_pump.hpp"
#include "intake.hpp"
#include "journal_rate.hpp"
#include "listening_socket.hpp"
#include "metrics.hpp"
#include "netlink/kernel_state.hpp"
#include "options.hpp"
#include "reconciler.hpp"
#include "recovery.hpp"
#include "service.hpp"
#include "stall_watch.hpp"
#include "state_keeper.hpp"
#include "statistics.hpp"

namespace flowkin {

class MetricsServer;

/// The daemon at work: one io_context, one thread, one coroutine an activity.
///
///   pump       reads the event socket, and when (EventPump)
///   packets    the same for logged packets, where there are groups of them: a batch at a time, and before each what the
///              event socket holds, so that a packet finds its flow and nothing waits for packets
///   reconcile  holds the table against the kernel's (Reconciler)
///   keep       the table to disk after the first dump and each [state] interval (StateKeeper)
///   tick       once a second: losses, statistics, the watchdog
///   signals    TERM and INT end, HUP reloads and reopens, USR1 asks for a reconcile
///
/// The pump never waits for the log: what the log cannot take it drops and counts. To end is to read what is
/// queued, to say monitor-stop, and to give the log a while to write.
class Monitor {
  public:
    /// Opens all that can fail. An error says why the daemon cannot start. `metrics` is where metrics are asked
    /// for; none: nowhere.
    static Result<std::unique_ptr<Monitor>> create(const Options& options, const Config& config,
                                                   std::optional<ListeningSocket> metrics = std::nullopt);
    ~Monitor();
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    /// Runs until a signal or a failure ends it; the error is why it could not go on.
    Result<void> run();

  private:
    struct Parts;
    explicit Monitor(Parts parts);

    void spawn(boost::asio::awaitable<void> activity);
    boost::asio::awaitable<void> packets();
    boost::asio::awaitable<void> tick();
    boost::asio::awaitable<void> signals();

    void watch_for_stall();
    void watch_journal();
    void serve_metrics(ListeningSocket socket);
    void say_start();
    void say_pause(WallTime now);
    Result<void> open_control();
    MonitorReload reload();
    void end(std::string reason, std::optional<Error> error = std::nullopt);
    Result<void> finish();
    void last_words(std::chrono::steady_clock::time_point deadline);

    Options options_;
    Config config_;
    RunId run_;
    KernelState kernel_;
    boost::asio::io_context io_;
    Intake intake_;
    EventPump pump_;
    Reconciler reconciler_;
    Statistics statistics_;
    Service service_;
    boost::asio::signal_set signals_;
    boost::asio::steady_timer tick_timer_;
    StateKeeper keeper_;
    Recovery recovery_;
    StallWatch stall_watch_;
    std::uint64_t suspected_at_ = 0;  // reconciles that were completed by then
    JournalRate journal_rate_;
    ReloadOutcome reload_;
    std::unique_ptr<Metrics> metrics_;
    std::unique_ptr<MetricsServer> metrics_server_;
    std::unique_ptr<ControlServer> control_;  // none: no control socket
    WallTime started_{};

    bool ending_ = false;
    std::string end_reason_;
    std::optional<Error> end_error_;
    std::uint64_t heartbeat_ = 0;
    std::uint64_t ticks_ = 0;
};

}  // namespace flowkin
