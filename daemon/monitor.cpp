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
#include "diagnostics.hpp"
#include "kernel_warnings.hpp"
#include "netlink/label_names.hpp"

namespace flowkin {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

/// Two wake-ups this close together mean that events come in a stream: the pump then naps before it looks
/// again, so that each look finds many. A lone event is never made to wait.
constexpr milliseconds busy{4};
constexpr milliseconds nap{2};

/// Losses come in bursts: the dump that mends them waits until the burst is over.
constexpr milliseconds loss_pause{500};

/// A loss is declared before any line of what was read so long after the last declaration. So what a kill leaves
/// undeclared is hardly older than this.
constexpr milliseconds loss_interval{1000};
constexpr milliseconds loss_undeclared{1100};

/// What the event socket may give before each batch of packets: with more than that, packets wait.
constexpr std::size_t packet_drain_batches = 64;
constexpr std::size_t sweep_slice = 1024;  // flows whose lines fit the smallest queue
constexpr std::size_t dump_buffer_bytes = 65'536;
constexpr int dump_tries = 3;
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

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
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

Result<std::unique_ptr<Monitor>> Monitor::create(const Options& options, const Config& config) {
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
    monitor->log_ = std::move(*log);
    monitor->recover_table();
    return monitor;
}

Monitor::Monitor(Parts parts)
    : options_(std::move(parts.options)),
      config_(std::move(parts.config)),
      run_(parts.run),
      kernel_(std::move(parts.kernel)),
      io_(1),
      source_(std::move(parts.source)),
      readable_(io_, source_.socket().fd()),
      capture_(std::move(parts.capture)),
      pipeline_({.table = {.run = run_,
                           .capacity = table_capacity(config_, kernel_),
                           .active_interval = config_.output.active_interval},
                 .updates = config_.output.updates},
                std::move(parts.encoder)),
      signals_(io_, SIGTERM, SIGINT, SIGHUP),
      tick_timer_(io_),
      nap_timer_(io_),
      reconcile_timer_(io_),
      keep_timer_(io_),
      keeper_(state_path(config_)),
      dump_buffer_(dump_buffer_bytes) {
    signals_.add(SIGUSR1);
}

Monitor::~Monitor() {
    readable_.release();
}

Result<void> Monitor::run() {
    say_start();
    if (const auto warning =
            reliable_destroy_.begin(config_, service_.watchdog_interval().has_value(), source_.socket())) {
        warn(*warning);
    }
    if (service_.keeps_sockets()) {
        // A stored socket that nobody reads must not make the kernel keep flows.
        reliable_destroy_.wanted() ? service_.forget_socket() : service_.store_socket(source_.socket().fd());
    }
    request_reconcile(ReconcileCause::start);
    spawn(pump());
    start_packets();
    if (packets_) {
        spawn(packets());
    }
    spawn(reconcile());
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

asio::awaitable<void> Monitor::pump() {
    auto woken = std::chrono::steady_clock::now();
    auto woken_before = woken - busy;
    while (!ending_) {
        const std::size_t received = receive_batch();
        if (received >= DatagramArena::batch) {
            co_await asio::post(io_, asio::use_awaitable);  // signals and timers get their turn
            continue;
        }
        if (received != 0 && woken - woken_before < busy) {
            nap_timer_.expires_after(nap);
            co_await nap_timer_.async_wait(quietly);
        } else {
            co_await readable_.async_wait(asio::posix::descriptor_base::wait_read, quietly);
        }
        woken_before = std::exchange(woken, std::chrono::steady_clock::now());
    }
}

asio::awaitable<void> Monitor::packets() {
    while (!ending_ && packets_) {
        const std::size_t received = receive_packets();
        if (received >= DatagramArena::batch) {
            co_await asio::post(io_, asio::use_awaitable);
        } else if (packets_) {
            co_await packets_->readable().async_wait(asio::posix::descriptor_base::wait_read, quietly);
        }
    }
}

asio::awaitable<void> Monitor::reconcile() {
    while (!ending_) {
        if (!wanted_reconcile_) {
            auto interval = config_.conntrack.reconcile_interval;
            if (config_.output.active_interval) {
                interval = std::min(interval.value_or(*config_.output.active_interval),
                                    *config_.output.active_interval);
            }
            if (interval) {
                reconcile_timer_.expires_after(*interval);
            } else {
                reconcile_timer_.expires_at(std::chrono::steady_clock::time_point::max());
            }
            const auto [cancelled] = co_await reconcile_timer_.async_wait(quietly);
            if (!cancelled) {
                wanted_reconcile_ = ReconcileCause::timer;
            }
            continue;
        }
        const ReconcileCause cause = *std::exchange(wanted_reconcile_, std::nullopt);
        if (cause == ReconcileCause::overrun) {
            reconcile_timer_.expires_after(loss_pause);
            co_await reconcile_timer_.async_wait(quietly);
            wanted_reconcile_.reset();
        }
        const WallTime begun = wall_clock_now();
        DumpResult result = DumpResult::interrupted;
        for (int tries = 0; tries < dump_tries && result == DumpResult::interrupted && !ending_; ++tries) {
            result = co_await dump();
        }
        if (result != DumpResult::complete) {
            pipeline_.table().abandon_reconcile(wall_clock_now());
            if (!ending_) {
                warn({"dump-failed",
                      "the kernel's flow table could not be read whole; the next reconcile tries again"});
            }
        } else {
            if (cause == ReconcileCause::overrun && reliable_destroy_.on()) {
                // The kernel may still hold the DESTROY of a flow that it no longer dumps.
                pipeline_.table().abandon_reconcile(wall_clock_now());
            } else {
                co_await sweep();
            }
            const WallTime now = wall_clock_now();
            const ReconcileCounts counts = pipeline_.table().reconcile_counts();
            pipeline_.say(MonitorEvent{now, ResyncCompleted{.cause = cause,
                                                            .dumped = counts.dumped,
                                                            .discovered = counts.discovered,
                                                            .ended = counts.ended,
                                                            .unchanged = counts.unchanged,
                                                            .duration = now - begun}});
        }
        submit(wall_clock_now());
        if (!reconciled_once_) {
            reconciled_once_ = true;
            spawn(keep());
            service_.ready(status_text());
        }
    }
}

/// One dump into the table, between begin_reconcile() and the last drain of the event socket.
asio::awaitable<Monitor::DumpResult> Monitor::dump() {
    auto socket = NetlinkSocket::open(NetlinkSocket::Groups::none, 0);
    if (!socket) {
        spdlog::warn("dump: {}", socket.error().text);
        co_return DumpResult::failed;
    }
    asio::posix::stream_descriptor readable(io_, socket->fd());
    const auto keep_descriptor =
        std::unique_ptr<asio::posix::stream_descriptor, void (*)(asio::posix::stream_descriptor*)>(
            &readable, [](asio::posix::stream_descriptor* descriptor) { descriptor->release(); });
    pipeline_.table().abandon_reconcile(wall_clock_now());
    pipeline_.table().begin_reconcile(wall_clock_now());
    if (const auto sent = socket->send(flow_dump_request(1)); !sent) {
        spdlog::warn("dump: {}", sent.error().text);
        co_return DumpResult::failed;
    }
    bool interrupted = false;
    while (!ending_) {
        const auto received = receive_dump(*socket, dump_buffer_);
        if (!received) {
            spdlog::warn("dump: {}", received.error().text);
            co_return DumpResult::failed;
        }
        if (*received == 0) {
            co_await readable.async_wait(asio::posix::descriptor_base::wait_read, quietly);
            continue;
        }
        // What the kernel said before it filled this is heard first: the dump is never ahead of the events.
        drain(64);
        const std::span<const std::uint8_t> datagram(dump_buffer_.data(), *received);
        const WallTime now = wall_clock_now();
        if (capture_) {
            capture_->write(datagram, now);
        }
        const Pipeline::DumpProgress progress = pipeline_.feed(datagram, now);
        submit(now);
        interrupted = interrupted || progress.interrupted;
        if (progress.error != 0) {
            spdlog::warn("dump: {}", std::strerror(progress.error));
            co_return DumpResult::failed;
        }
        if (progress.done) {
            drain(1024);  // what was said before the dump's end is heard before the sweep
            co_return interrupted ? DumpResult::interrupted : DumpResult::complete;
        }
        co_await asio::post(io_, asio::use_awaitable);
    }
    co_return DumpResult::failed;
}

asio::awaitable<void> Monitor::sweep() {
    while (!pipeline_.table().finish_reconcile(wall_clock_now(), sweep_slice)) {
        submit(wall_clock_now());
        co_await asio::post(io_, asio::use_awaitable);
    }
}

asio::awaitable<void> Monitor::keep() {
    while (!ending_ && keeper_.keeps()) {
        const auto saved =
            co_await keeper_.save(state_header(false), pipeline_.table(), [this] { return all_written(); });
        if (!saved) {
            spdlog::warn("{}", saved.error().text);
        }
        if (!ending_) {
            keep_timer_.expires_after(config_.state.interval);
            co_await keep_timer_.async_wait(quietly);
        }
    }
}

/// Waits until the lines that were made up to now are written, or dropped and declared. False where the end
/// comes first.
asio::awaitable<bool> Monitor::all_written() {
    const std::uint64_t lines = submitted_lines_;
    while (!ending_) {
        const EventLogCounters log = log_->counters();
        if (log.lines_written + log.lines_dropped >= lines) {
            co_return true;
        }
        keep_timer_.expires_after(milliseconds(100));
        co_await keep_timer_.async_wait(quietly);
    }
    co_return false;
}

StateHeader Monitor::state_header(bool clean) const {
    return {.origin = source_.origin(),
            .run = run_,
            .sequence = pipeline_.next_sequence() - 1,
            .uids = pipeline_.table().counters().opened,
            .kernel_drops = source_.loss().declared(),
            .heard_until = source_.heard_until(),
            .clean = clean,
            .log_path = log_path()};
}

/// Empty: standard output.
std::string Monitor::log_path() const {
    return config_.output.destination == Config::Destination::file ? config_.output.path : std::string();
}

void Monitor::recover_table() {
    if (keeper_.keeps()) {
        recovery_ = recover(keeper_.path(), source_.origin(), pipeline_.table());
        if (!recovery_.warning.empty()) {
            spdlog::warn("{}", recovery_.warning);
        }
    }
    if (!recovery_.restored) {
        return;
    }
    if (!recovery_.clean) {
        recovery_.heard_until -= loss_undeclared;
    }
    source_.heard_until(recovery_.heard_until);
    if (source_.inherited()) {
        source_.loss().whole(recovery_.heard_until);
        source_.loss().declared_before(static_cast<std::uint32_t>(recovery_.kernel_drops));
    }
    if (log_path().empty() || log_path() != recovery_.log_path) {
        // Whoever reads that state file next could not learn of this run: from now on it is this run's.
        if (const auto saved = keeper_.save_at_once(state_header(false), pipeline_.table()); !saved) {
            spdlog::warn("{}", saved.error().text);
            set_state_aside(keeper_.path());
        }
    }
}

asio::awaitable<void> Monitor::tick() {
    while (!ending_) {
        tick_timer_.expires_after(seconds(1));
        co_await tick_timer_.async_wait(quietly);
        const WallTime now = wall_clock_now();
        pipeline_.tick(now);
        if (packets_) {
            settle_packet_loss(now);
            packets_->interface_names().forget();
        }
        settle_loss(now);
        if (const auto warning =
                reliable_destroy_.guard(config_.conntrack.reliable_destroy_limit_percent, source_.socket())) {
            warn(*warning);
        }
        declare_decode_faults(now);
        declare_sink_loss(now);
        say_statistics(now);
        submit(now);
        if (capture_ && !capture_->flush()) {
            capture_.reset();
            spdlog::error("the capture {} cannot be written any more and ends with its last whole packet",
                          options_.capture_file->string());
        }
        if (const std::uint64_t beat = log_->heartbeat(); beat != heartbeat_) {
            heartbeat_ = beat;
            service_.feed_watchdog();
        }
        if (++ticks_ % 10 == 0) {
            service_.status(status_text());
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
                request_reconcile(ReconcileCause::request);
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

// ---- receiving

std::size_t Monitor::receive_batch() {
    const WallTime now = wall_clock_now();
    const EventSource::Batch batch = source_.receive(arena_, now);
    if (batch.error != 0) {
        end("the event socket failed",
            Error{Fault::input_output, std::string("the event socket: ") + std::strerror(batch.error)});
        return 0;
    }
    if (batch.lost) {
        pipeline_.table().note_loss();
    }
    if (source_.loss().open() && now - loss_settled_ >= loss_interval) {
        settle_loss(now);
    }
    for (std::size_t i = 0; i < arena_.size(); ++i) {
        if (capture_) {
            capture_->write(arena_[i], now);
        }
        pipeline_.feed(arena_[i], now);
    }
    submit(now);
    return batch.lost ? DatagramArena::batch : batch.taken;
}

std::size_t Monitor::receive_packets() {
    drain(packet_drain_batches);
    const Received received = packets_->receive();
    const WallTime now = wall_clock_now();
    if (received.error != 0) {
        settle_packet_loss(now);
        warn({"packets-ended",
              std::string("packets are not read any more: ") + std::strerror(received.error)});
        packets_.reset();
        return 0;
    }
    const DatagramArena& arena = packets_->arena();
    for (std::size_t i = 0; i < arena.size(); ++i) {
        if (capture_) {
            capture_->write(arena[i], now);
        }
        pipeline_.feed(arena[i], now);
    }
    packets_->look(pipeline_.packets().missing(), now);
    submit(now);
    return received.datagrams + received.cut + received.not_kernel;
}

void Monitor::drain(std::size_t batches) {
    while (batches-- != 0 && !ending_ && receive_batch() != 0) {
    }
}

void Monitor::submit(WallTime now) {
    if (!pipeline_.batch().empty()) {
        declare_sink_loss(
            now);  // with the first lines after it: a later kill must not leave the gap undeclared
        submitted_lines_ += pipeline_.batch().lines();
        log_->submit(pipeline_.batch(), now);
    }
}

void Monitor::request_reconcile(ReconcileCause cause) {
    wanted_reconcile_ = cause;
    reconcile_timer_.cancel();
}

// ---- what was lost

/// One record a second at most, however often the socket overruns in it.
void Monitor::settle_loss(WallTime now) {
    loss_settled_ = now;
    auto loss = source_.settle();
    if (!loss) {
        return;
    }
    if (reliable_destroy_.on()) {
        loss->count.reset();  // the counter also counts each vain try to give us a DESTROY
    }
    pipeline_.table().note_loss();
    pipeline_.say(*loss);
    spdlog::warn(
        "{} events were lost at the kernel's socket (a larger [conntrack] receive_buffer holds longer "
        "bursts)",
        loss->count ? std::to_string(*loss->count) : "some");
    request_reconcile(ReconcileCause::overrun);
}

void Monitor::settle_packet_loss(WallTime now) {
    if (!packets_) {
        return;
    }
    if (const auto loss = packets_->settle(pipeline_.packets().missing(), now)) {
        pipeline_.say(*loss);
        spdlog::warn("{} logged packets were lost at the kernel's socket", *loss->count);
    }
}

/// A group that cannot be read is told and left out: the rest goes on.
void Monitor::start_packets() {
    if (config_.packets.groups.empty()) {
        return;
    }
    PacketSource::Opened opened = PacketSource::open(io_, config_.packets.groups);
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

void Monitor::declare_sink_loss(WallTime now) {
    const auto loss = log_->take_loss();
    if (!loss) {
        return;
    }
    LossEvent event;
    event.at = now;
    event.place = loss->write_failed ? LossPlace::sink_write : LossPlace::sink_queue;
    event.count = loss->lines;
    event.first_sequence = loss->first_sequence;
    event.last_sequence = loss->last_sequence;
    event.since = loss->since;
    event.until = loss->until;
    pipeline_.say(event);
    spdlog::warn("{} lines were dropped because {}", loss->lines,
                 loss->write_failed ? "the log could not be written" : "the log was written too slowly");
}

void Monitor::declare_decode_faults(WallTime now) {
    const auto declare = [&](std::uint64_t total, std::uint64_t& declared, const std::string& what) {
        if (total == declared) {
            return;
        }
        if (declared == 0) {
            spdlog::warn(
                "a netlink message was not understood: {} (further ones of this kind are only counted)",
                what);
        }
        LossEvent event;
        event.at = now;
        event.place = LossPlace::decoder;
        event.count = total - declared;
        event.until = now;
        event.detail = what;
        pipeline_.say(event);
        declared = total;
    };
    for (std::size_t kind = 0; kind < decode_fault_kinds; ++kind) {
        declare(pipeline_.counters().faults[kind], declared_faults_[kind],
                std::string(name(static_cast<DecodeFault>(kind))));
    }
    declare(source_.cut(), declared_cut_, "longer than any message the kernel is known to make");
    if (source_.not_kernel() != 0 && !not_kernel_said_) {
        not_kernel_said_ = true;
        spdlog::warn("netlink messages that another program sent were refused: only the kernel is heard");
    }
}

// ---- about itself

void Monitor::say_start() {
    const WallTime now = wall_clock_now();
    MonitorStart start;
    start.version = FLOWKIN_VERSION;
    start.run = run_;
    start.kernel = kernel_.release;
    start.acct = kernel_.acct;
    start.timestamp = kernel_.timestamp;
    start.events = kernel_.events;
    start.receive_buffer_bytes = source_.socket().receive_buffer_bytes();
    start.warnings = kernel_warnings(kernel_, source_.socket().receive_buffer_bytes(),
                                     config_.conntrack.receive_buffer_bytes);
    for (const std::string& warning : start.warnings) {
        spdlog::warn("{}", warning);
    }
    start.previous_run = recovery_.previous_run;
    if (recovery_.restored) {
        start.state = source_.inherited() ? StartState::inherited_socket : StartState::restored;
    }
    if (!recovery_.warning.empty()) {
        start.warnings.push_back(recovery_.warning);
    }
    spdlog::info(
        "run {:016x}: receive buffer {} bytes, table for {} flows, lines to {}", run_,
        source_.socket().receive_buffer_bytes(), pipeline_.table().capacity(),
        config_.output.destination == Config::Destination::file ? config_.output.path : "standard output");
    pipeline_.say(MonitorEvent{now, start});
    stats_said_ = now;
    say_pause(now);
    submit(now);
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
    if (!source_.inherited()) {
        pause.place = LossPlace::kernel_socket;  // nobody listened
        pipeline_.table().note_loss();
        pipeline_.say(pause);
    }
    if (!recovery_.clean) {
        pause.place = LossPlace::sink_queue;  // read and not written when it was killed
        pipeline_.say(pause);
    }
}

void Monitor::warn(const MonitorWarning& warning) {
    spdlog::warn("{}", warning.text);
    const WallTime now = wall_clock_now();
    pipeline_.say(MonitorEvent{now, warning});
    submit(now);
}

MonitorCounters Monitor::counters() const {
    const PipelineCounters& pipeline = pipeline_.counters();
    const FlowTableCounters table = pipeline_.table().counters();
    const EventLogCounters log = log_->counters();
    return {{"new", pipeline.new_messages},
            {"update", pipeline.update_messages},
            {"destroy", pipeline.destroy_messages},
            {"dump", pipeline.dump_messages},
            {"expectation", pipeline.expectation_messages},
            {"packet", pipeline.packet_messages},
            {"flows_opened", table.opened},
            {"flows_ended", table.ended},
            {"stale", table.stale},
            {"lost_kernel_socket", source_.loss().total()},
            {"lost_packets", packets_ ? packets_->lost() : 0},
            {"lost_sink_lines", log.lines_dropped},
            {"lines", pipeline.lines},
            {"bytes_written", log.bytes_written}};
}

void Monitor::say_statistics(WallTime now) {
    if (!config_.output.stats_interval || now - stats_said_ < *config_.output.stats_interval) {
        return;
    }
    MonitorStats stats{.interval = now - stats_said_, .counters = counters()};
    for (std::size_t i = 0; i < stats.counters.size(); ++i) {
        const std::uint64_t total = stats.counters[i].second;
        if (i < stats_.size()) {
            stats.counters[i].second -= stats_[i].second;
            stats_[i].second = total;
        } else {
            stats_.push_back(stats.counters[i]);
        }
    }
    stats.counters.emplace_back("flows_live", pipeline_.table().size());
    stats_said_ = now;
    pipeline_.say(MonitorEvent{now, std::move(stats)});
}

std::string Monitor::status_text() const {
    const FlowTableCounters table = pipeline_.table().counters();
    return std::to_string(pipeline_.table().size()) + " flows live, " + std::to_string(table.opened) +
           " opened, " + std::to_string(source_.loss().total()) + " events lost, " +
           std::to_string(log_->counters().lines_dropped) + " lines dropped";
}

// ---- reload and end

void Monitor::reload() {
    service_.reloading();
    MonitorReload record;
    const auto wanted = load_config(options_.config_file, options_.overrides);
    auto encoder = wanted ? make_encoder(*wanted, run_) : Result<LineEncoder>(tl::unexpected(wanted.error()));
    if (!encoder) {
        record.refused = encoder.error().text;
        spdlog::error("reload refused, nothing changed: {}", record.refused);
    } else {
        const ConfigChange change = compare(config_, *wanted);
        config_ = adopt(config_, *wanted);
        pipeline_.set_encoder(std::move(*encoder));
        pipeline_.set_updates(config_.output.updates);
        pipeline_.table().set_active_interval(config_.output.active_interval);
        log_->set_rotation(config_.output.rotate_bytes.value_or(0), config_.output.rotate_keep);
        set_diagnostics_level(config_.log.level);
        record.applied = true;
        record.changed = change.changed;
        record.needs_restart = change.needs_restart;
        for (const std::string& key : change.needs_restart) {
            spdlog::warn("{} needs a restart", key);
        }
        spdlog::info("configuration reloaded, {} keys changed", change.changed.size());
        reconcile_timer_.cancel();  // its interval may be another
    }
    log_->reopen();
    const WallTime now = wall_clock_now();
    pipeline_.say(MonitorEvent{now, record});
    submit(now);
    service_.ready(status_text());
}

void Monitor::end(std::string reason, std::optional<Error> error) {
    if (ending_) {
        return;
    }
    ending_ = true;
    end_reason_ = std::move(reason);
    end_error_ = std::move(error);
    service_.stopping();
    readable_.cancel();
    if (packets_) {
        packets_->readable().cancel();
    }
    tick_timer_.cancel();
    nap_timer_.cancel();
    reconcile_timer_.cancel();
    keep_timer_.cancel();
    asio::post(io_, [this] { io_.stop(); });
}

Result<void> Monitor::finish() {
    // What is queued by now is heard and written; what comes later belongs to the next run.
    const auto deadline = std::chrono::steady_clock::now() + seconds(2);
    const bool socket_works = !end_error_;
    while (socket_works && std::chrono::steady_clock::now() < deadline && receive_batch() != 0) {
    }
    while (packets_ && std::chrono::steady_clock::now() < deadline && receive_packets() != 0) {
    }
    const WallTime now = wall_clock_now();
    pipeline_.packets().let_all_go();
    pipeline_.table().abandon_reconcile(now);
    pipeline_.table().tick(now + seconds(2));
    settle_loss(now);
    settle_packet_loss(now);
    declare_decode_faults(now);
    submit(now);
    // Room for the last words: a queue that drops would drop them, too.
    const auto last_words = std::chrono::steady_clock::now() + close_deadline;
    while (!end_error_ && log_->counters().queued_bytes > config_.output.queue_bytes / 4 &&
           std::chrono::steady_clock::now() < last_words) {
        std::this_thread::sleep_for(milliseconds(10));
    }
    declare_sink_loss(now);
    MonitorStop stop{.reason = end_reason_, .totals = counters()};
    stop.totals.emplace_back("flows_live", pipeline_.table().size());
    pipeline_.say(MonitorEvent{now, std::move(stop)});
    submit(now);
    const auto left = std::chrono::duration_cast<milliseconds>(last_words - std::chrono::steady_clock::now());
    const auto unwritten = log_->close(std::max(left, close_deadline_least));
    if (unwritten && !end_error_) {
        spdlog::error("{} lines (sequence {} to {}) could not be written before the end", unwritten->lines,
                      unwritten->first_sequence, unwritten->last_sequence);
    }
    keeper_.join();
    if (keeper_.keeps()) {
        if (const auto saved = keeper_.save_at_once(state_header(!unwritten), pipeline_.table()); !saved) {
            spdlog::error("{}", saved.error().text);
        }
    }
    if (end_error_) {
        return tl::unexpected(*end_error_);
    }
    spdlog::info("ended by {}", end_reason_);
    return {};
}

}  // namespace flowkin
