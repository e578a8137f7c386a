// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor.hpp"

#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "clock.hpp"
#include "control_socket.hpp"
#include "daemon_status.hpp"
#include "diagnostics.hpp"
#include "host_name.hpp"
#include "ignore_entry.hpp"
#include "kernel_warnings.hpp"
#include "metrics_server.hpp"
#include "netlink/label_names.hpp"

namespace flowkin {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

constexpr milliseconds close_deadline{5000};
constexpr milliseconds close_deadline_least{500};

RunId random_run() {
    RunId run = 0;
    while (run == 0) {
        if (::getrandom(&run, sizeof run, 0) != sizeof run) {
            throw std::system_error(errno, std::generic_category(), "getrandom");
        }
    }
    return run;
}

Result<LineEncoder> make_encoder(const Config& config, RunId run) {
    return LineEncoder::create({.run = run,
                                .host_name = host_name(),
                                .fields = config.output.fields,
                                .label_names = read_label_names()});
}

/// The table holds what the kernel can, and a quarter more for what ends late.
std::size_t table_capacity(const Config& config, const KernelState& kernel) {
    if (config.table.capacity != 0) {
        return config.table.capacity;
    }
    constexpr std::uint64_t least = 65'536;
    return std::max(least, kernel.flows_max.value_or(1'000'000) / 4 * 5);
}

EventLogSettings log_settings(const Config& config) {
    EventLogSettings settings;
    settings.queue_bytes = config.output.queue_bytes;
    if (config.output.destination == Config::Destination::file) {
        settings.file = FileSettings{config.output.path, config.output.rotate_bytes.value_or(0),
                                     config.output.rotate_keep};
    }
    return settings;
}

}  // namespace

/// What create() opens, in the order in which it can fail.
struct Monitor::Parts {
    Options options;
    Config config;
    RunId run;
    KernelState kernel;
    EventSource source;
    std::optional<CaptureWriter> capture;
    LineEncoder encoder;
};

Result<std::unique_ptr<Monitor>> Monitor::create(const Options& options, const Config& config,
                                                 std::optional<ListeningSocket> metrics) {
    const RunId run = random_run();
    auto encoder = make_encoder(config, run);
    if (!encoder) {
        return tl::unexpected(encoder.error());
    }
    auto source = EventSource::open(config);
    if (!source) {
        return tl::unexpected(source.error());
    }
    std::optional<CaptureWriter> capture;
    if (options.capture_file) {
        auto opened = CaptureWriter::create(options.capture_file->string());
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        capture = std::move(*opened);
    }
    std::unique_ptr<Monitor> monitor(
        new Monitor({options, config, run, read_kernel_state(), std::move(*source), std::move(capture),
                     std::move(*encoder)}));
    Monitor& self = *monitor;
    auto log = EventLog::open(log_settings(config),
                              {.failing = [](const std::string& text) { spdlog::error("{}", text); },
                               .recovered = [] { spdlog::info("the log is written again"); },
                               .ended =
                                   [&self](const std::string& text) {
                                       asio::post(self.io_, [&self, text] {
                                           self.end("output closed", Error{Fault::input_output, text});
                                       });
                                   }});
    if (!log) {
        return tl::unexpected(log.error());
    }
    self.intake_.write_to(std::move(*log));
    if (auto opened = self.open_control(); !opened) {
        return tl::unexpected(opened.error());
    }
    self.recovery_ = self.keeper_.recover();
    if (metrics) {
        self.serve_metrics(std::move(*metrics));
    }
    return monitor;
}

Monitor::Monitor(Parts parts)
    : options_(std::move(parts.options)),
      config_(std::move(parts.config)),
      run_(parts.run),
      kernel_(std::move(parts.kernel)),
      io_(1),
      intake_({.source = std::move(parts.source),
               .capture = std::move(parts.capture),
               .capture_path = options_.capture_file.value_or("").string(),
               .pipeline = {.table = {.run = run_,
                                      .capacity = table_capacity(config_, kernel_),
                                      .active_interval = config_.output.active_interval},
                            .updates = config_.output.updates},
               .encoder = std::move(parts.encoder)},
              {.events_lost = [this] { reconciler_.request(ReconcileCause::overrun); },
               .failed = [this](const Error& error) { end("the event socket failed", error); }}),
      pump_(io_, intake_, ending_),
      reconciler_(io_, intake_, config_, ending_),
      statistics_(intake_),
      signals_(io_, SIGTERM, SIGINT, SIGHUP),
      tick_timer_(io_),
      keeper_(io_, intake_, config_, run_, ending_) {
    signals_.add(SIGUSR1);
    intake_.pipeline().ignore(IgnoredFlows(ignore_rules(config_.filter.ignore)));
}

Monitor::~Monitor() = default;

Result<void> Monitor::run() {
    say_start();
    ReliableDestroy& reliable = intake_.reliable_destroy();
    NetlinkSocket& socket = intake_.source().socket();
    if (const auto warning = reliable.begin(config_, service_.watchdog_interval().has_value(), socket)) {
        intake_.warn(*warning);
    }
    if (service_.keeps_sockets()) {
        // A stored socket that nobody reads must not make the kernel keep flows.
        reliable.wanted() ? service_.forget_socket() : service_.store_socket(socket.fd());
    }
    reconciler_.request(ReconcileCause::start);
    spawn(pump_.run());
    intake_.open_packets(io_, config_.packets.groups);
    spawn(packets());
    spawn(reconciler_.run([this] {
        spawn(keeper_.run());
        service_.ready(statistics_.status_text());
    }));
    spawn(tick());
    spawn(signals());
    io_.run();
    return finish();
}

// ---- activities

void Monitor::spawn(asio::awaitable<void> activity) {
    asio::co_spawn(io_, std::move(activity), [](const std::exception_ptr& failure) {
        if (failure) {
            std::rethrow_exception(failure);
        }
    });
}

asio::awaitable<void> Monitor::packets() {
    while (!ending_ && intake_.packets() != nullptr) {
        const std::size_t received = intake_.receive_packets();
        if (received >= DatagramArena::batch) {
            co_await asio::post(io_, asio::use_awaitable);
        } else if (PacketSource* source = intake_.packets()) {
            co_await source->readable().async_wait(asio::posix::descriptor_base::wait_read, quietly);
        }
    }
}

asio::awaitable<void> Monitor::tick() {
    while (!ending_) {
        tick_timer_.expires_after(seconds(1));
        co_await tick_timer_.async_wait(quietly);
        const WallTime now = wall_clock_now();
        intake_.pipeline().tick(now);
        if (PacketSource* packets = intake_.packets()) {
            packets->interface_names().forget();
        }
        intake_.settle_packets(now);
        intake_.settle_events(now);
        if (const auto warning = intake_.reliable_destroy().guard(
                config_.conntrack.reliable_destroy_limit_percent, intake_.source().socket())) {
            intake_.warn(*warning);
        }
        intake_.settle_decoder(now);
        intake_.settle_log(now);
        watch_for_stall();
        watch_journal();
        if (auto stats = statistics_.due(now, config_.output.stats_interval)) {
            intake_.pipeline().say(MonitorEvent{now, std::move(*stats)});
        }
        intake_.submit(now);
        intake_.flush_capture();
        if (const std::uint64_t beat = intake_.log().heartbeat(); beat != heartbeat_) {
            heartbeat_ = beat;
            service_.feed_watchdog();
        }
        if (++ticks_ % 10 == 0) {
            service_.status(statistics_.status_text());
        }
    }
}

asio::awaitable<void> Monitor::signals() {
    while (true) {
        const auto [failed, signal] = co_await signals_.async_wait(quietly);
        if (failed) {
            co_return;
        }
        switch (signal) {
            case SIGHUP:
                reload();
                break;
            case SIGUSR1:
                reconciler_.request(ReconcileCause::request);
                break;
            default:
                if (ending_) {
                    std::_Exit(EXIT_FAILURE);  // asked twice: at once
                }
                end(signal == SIGTERM ? "SIGTERM" : "SIGINT");
                break;
        }
    }
}

/// A suspicion is held against the kernel's table before anything is said.
void Monitor::watch_for_stall() {
    // The kernel's count holds the flows that are ignored, too, and no event tells of them.
    const auto patience = config_.filter.ignore.empty() ? config_.conntrack.stall_after : std::nullopt;
    const auto flows = patience ? read_kernel_table_fill().flows : std::nullopt;
    if (!flows) {
        return;
    }
    const auto now = std::chrono::steady_clock::now();
    const PipelineCounters& heard = intake_.pipeline().counters();
    // A birth that was lost on its way to us was told.
    const std::uint64_t born = heard.new_messages + intake_.source().loss().total();
    if (stall_watch_.suspects({.flows = *flows, .born = born, .died = heard.destroy_messages}, *patience,
                              now)) {
        suspected_at_ = reconciler_.completed();
        reconciler_.request(ReconcileCause::request);
    } else if (stall_watch_.waits_for_reconcile() && reconciler_.completed() != suspected_at_) {
        suspected_at_ = reconciler_.completed();
        const ResyncCompleted& found = *reconciler_.last();
        if (found.discovered != 0 || found.cause == ReconcileCause::request) {
            const auto warning =
                stall_watch_.judge(found.discovered, born, read_events_setting(), *patience, now);
            if (warning) {
                intake_.warn(*warning);
            }
        }
    }
    if (const auto over = stall_watch_.take_end()) {
        intake_.warn(*over);
    }
}

void Monitor::watch_journal() {
    if (config_.output.destination != Config::Destination::standard_output || !standard_output_is_journal()) {
        return;
    }
    if (const auto warning =
            journal_rate_.look(intake_.pipeline().counters().lines, config_.output.journal_rate,
                               std::chrono::steady_clock::now())) {
        intake_.warn(*warning);
    }
}

// ---- about itself

void Monitor::serve_metrics(ListeningSocket socket) {
    reload_.successful_at = wall_clock_now();
    metrics_ =
        std::make_unique<Metrics>(Metrics::Sources{.intake = intake_,
                                                   .reconciler = reconciler_,
                                                   .stall_watch = stall_watch_,
                                                   .reload = reload_,
                                                   .version = FLOWKIN_VERSION,
                                                   .run = run_,
                                                   .queue_capacity_bytes = config_.output.queue_bytes});
    metrics_server_ =
        std::make_unique<MetricsServer>(io_, std::move(socket), [this] { return metrics_->page(); });
    metrics_server_->start();
}

void Monitor::say_start() {
    const WallTime now = wall_clock_now();
    MonitorStart start;
    start.version = FLOWKIN_VERSION;
    start.run = run_;
    start.kernel = kernel_.release;
    start.acct = kernel_.acct;
    start.timestamp = kernel_.timestamp;
    start.events = kernel_.events;
    start.receive_buffer_bytes = intake_.source().socket().receive_buffer_bytes();
    start.warnings = kernel_warnings(kernel_, intake_.source().socket().receive_buffer_bytes(),
                                     config_.conntrack.receive_buffer_bytes);
    for (const std::string& warning : start.warnings) {
        spdlog::warn("{}", warning);
    }
    start.previous_run = recovery_.previous_run;
    start.ignore = config_.filter.ignore;
    if (recovery_.restored) {
        start.state = intake_.source().inherited() ? StartState::inherited_socket : StartState::restored;
    }
    if (!recovery_.warning.empty()) {
        start.warnings.push_back(recovery_.warning);
    }
    spdlog::info(
        "run {:016x}: receive buffer {} bytes, table for {} flows, lines to {}", run_,
        intake_.source().socket().receive_buffer_bytes(), intake_.table().capacity(),
        config_.output.destination == Config::Destination::file ? config_.output.path : "standard output");
    intake_.pipeline().say(MonitorEvent{now, start});
    started_ = now;
    statistics_.begin(now);
    say_pause(now);
    intake_.submit(now);
}

/// What nobody can know of the time between the run before and this one.
void Monitor::say_pause(WallTime now) {
    if (!recovery_.restored) {
        return;
    }
    LossEvent pause;
    pause.at = now;
    pause.since = recovery_.heard_until;
    pause.until = now;
    if (!intake_.source().inherited()) {
        pause.place = LossPlace::kernel_socket;  // nobody listened
        intake_.table().note_loss();
        intake_.pipeline().say(pause);
    }
    if (!recovery_.clean) {
        pause.place = LossPlace::sink_queue;  // read and not written when it was killed
        intake_.pipeline().say(pause);
    }
}

// ---- control, reload and end

Result<void> Monitor::open_control() {
    const std::string path = control_path(config_);
    if (path.empty()) {
        return {};
    }
    auto socket = open_control_socket(path);
    if (!socket) {
        return tl::unexpected(socket.error());
    }
    control_ = std::make_unique<ControlServer>(
        io_, std::move(*socket), intake_.pipeline(),
        ControlActions{.totals = [this] { return statistics_.totals(); },
                       .status =
                           [this] {
                               return take_status({.run = run_,
                                                   .started = started_,
                                                   .tracking_at_start = kernel_.tracking,
                                                   .config = config_,
                                                   .intake = intake_,
                                                   .totals = statistics_.totals()});
                           },
                       .reconcile =
                           [this] {
                               reconciler_.request(ReconcileCause::request);
                               return reconciler_.begun();
                           },
                       .reconciled = [this](std::uint64_t ticket) { return reconciler_.over() > ticket; },
                       .last_reconcile = [this]() -> std::optional<ResyncCompleted> {
                           return reconciler_.last_failed() ? std::nullopt : reconciler_.last();
                       },
                       .rotate = [this]() -> std::optional<std::string> {
                           if (config_.output.destination == Config::Destination::standard_output) {
                               return "lines go to standard output, and only a file is rotated";
                           }
                           intake_.log().rotate();
                           return std::nullopt;
                       },
                       .reload = [this] { return reload(); }});
    return {};
}

MonitorReload Monitor::reload() {
    service_.reloading();
    MonitorReload record;
    const auto wanted = load_config(options_.config_file, options_.overrides);
    auto encoder = wanted ? make_encoder(*wanted, run_) : Result<LineEncoder>(tl::unexpected(wanted.error()));
    if (!encoder) {
        record.refused = encoder.error().text;
        reload_.successful = false;
        spdlog::error("reload refused, nothing changed: {}", record.refused);
    } else {
        const ConfigChange change = compare(config_, *wanted);
        config_ = adopt(config_, *wanted);
        intake_.pipeline().set_encoder(std::move(*encoder));
        intake_.pipeline().set_updates(config_.output.updates);
        intake_.table().set_active_interval(config_.output.active_interval);
        intake_.log().set_rotation(config_.output.rotate_bytes.value_or(0), config_.output.rotate_keep);
        set_diagnostics_level(config_.log.level);
        record.applied = true;
        reload_ = {.successful = true, .successful_at = wall_clock_now()};
        record.changed = change.changed;
        record.needs_restart = change.needs_restart;
        for (const std::string& key : change.needs_restart) {
            spdlog::warn("{} needs a restart", key);
        }
        spdlog::info("configuration reloaded, {} keys changed", change.changed.size());
        reconciler_.wake();  // its interval may be another
    }
    intake_.log().reopen();
    intake_.say({wall_clock_now(), record});
    service_.reloaded(statistics_.status_text());
    return record;
}

void Monitor::end(std::string reason, std::optional<Error> error) {
    if (ending_) {
        return;
    }
    ending_ = true;
    end_reason_ = std::move(reason);
    end_error_ = std::move(error);
    service_.stopping();
    pump_.wake();
    if (PacketSource* packets = intake_.packets()) {
        packets->readable().cancel();
    }
    tick_timer_.cancel();
    reconciler_.wake();
    keeper_.wake();
    asio::post(io_, [this] { io_.stop(); });
}

Result<void> Monitor::finish() {
    // What is queued by now is heard and written; what comes later belongs to the next run.
    const auto deadline = std::chrono::steady_clock::now() + seconds(2);
    const bool socket_works = !end_error_;
    while (socket_works && std::chrono::steady_clock::now() < deadline && intake_.receive_events() != 0) {
    }
    while (intake_.packets() != nullptr && std::chrono::steady_clock::now() < deadline &&
           intake_.receive_packets() != 0) {
    }
    const WallTime now = wall_clock_now();
    intake_.pipeline().packets().let_all_go();
    intake_.table().abandon_reconcile(now);
    intake_.table().tick(now + seconds(2));
    intake_.settle_events(now);
    intake_.settle_packets(now);
    intake_.settle_decoder(now);
    intake_.submit(now);
    last_words(std::chrono::steady_clock::now() + close_deadline);
    if (end_error_) {
        return tl::unexpected(*end_error_);
    }
    spdlog::info("ended by {}", end_reason_);
    return {};
}

/// monitor-stop, the log's last lines, the table.
void Monitor::last_words(std::chrono::steady_clock::time_point deadline) {
    // Room for them: a queue that drops would drop them, too.
    EventLog& log = intake_.log();
    while (!end_error_ && log.counters().queued_bytes > config_.output.queue_bytes / 4 &&
           std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(milliseconds(10));
    }
    const WallTime now = wall_clock_now();
    intake_.settle_log(now);
    MonitorStop stop{.reason = end_reason_, .totals = statistics_.totals()};
    stop.totals.emplace_back("flows_live", intake_.table().size());
    intake_.say({now, std::move(stop)});
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    const auto unwritten = log.close(std::max(left, close_deadline_least));
    if (unwritten && !end_error_) {
        spdlog::error("{} lines (sequence {} to {}) could not be written before the end", unwritten->lines,
                      unwritten->first_sequence, unwritten->last_sequence);
    }
    keeper_.save_last(!unwritten);
}

}  // namespace flowkin
