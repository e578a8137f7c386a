// SPDX-License-Identifier: GPL-2.0-or-later
#include "state_keeper.hpp"

#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "clock.hpp"

namespace flowkin {

namespace asio = boost::asio;

namespace {

constexpr auto quietly = asio::as_tuple(asio::use_awaitable);

/// As many places of the table as surely fit one chunk.
constexpr std::size_t slice = StateChunk::most_flows;

constexpr std::chrono::milliseconds look_again{100};

}  // namespace

StateKeeper::StateKeeper(asio::io_context& io, Intake& intake, const Config& config, RunId run,
                         const bool& ending)
    : intake_(intake),
      config_(config),
      run_(run),
      ending_(ending),
      path_(state_path(config)),
      log_path_(config.output.destination == Config::Destination::file ? config.output.path : std::string()),
      timer_(io) {}

Recovery StateKeeper::recover() {
    if (path_.empty()) {
        return {};
    }
    EventSource& source = intake_.source();
    Recovery recovery = flowkin::recover(path_, source.origin(), intake_.table());
    if (!recovery.warning.empty()) {
        spdlog::warn("{}", recovery.warning);
    }
    if (!recovery.restored) {
        return recovery;
    }
    if (!recovery.clean) {
        recovery.heard_until -= Intake::undeclared_at_most;
    }
    source.heard_until(recovery.heard_until);
    if (source.inherited()) {
        source.loss().whole(recovery.heard_until);
        source.loss().declared_before(static_cast<std::uint32_t>(recovery.kernel_drops));
    }
    if (log_path_.empty() || log_path_ != recovery.log_path) {
        // Whoever reads that state file next could not learn of this run: from now on it is this run's.
        if (const auto saved = save_at_once(false); !saved) {
            spdlog::warn("{}", saved.error().text);
            set_state_aside(path_);
        }
    }
    return recovery;
}

asio::awaitable<void> StateKeeper::run() {
    while (!ending_ && !path_.empty()) {
        if (const auto saved = co_await save(); !saved) {
            spdlog::warn("{}", saved.error().text);
        }
        if (!ending_) {
            timer_.expires_after(config_.state.interval);
            co_await timer_.async_wait(quietly);
        }
    }
}

/// A snapshot. It is put in place only when every line that it builds on is written: else a crash could leave a
/// flow in it whose opening nobody ever read.
asio::awaitable<Result<void>> StateKeeper::save() {
    auto created = StateWriter::create(path_, header(false));
    if (!created) {
        co_return tl::unexpected(created.error());
    }
    StateWriter writer = std::move(*created);
    StateChunk chunk;
    std::size_t from = 0;
    do {
        from = intake_.table().visit(from, slice, [&](const FlowView& flow) { chunk.add(flow); });
        if (!chunk.empty()) {
            const auto append = [&]() -> asio::awaitable<Result<void>> { co_return writer.append(chunk); };
            if (auto appended = co_await asio::co_spawn(disk_, append, asio::use_awaitable); !appended) {
                co_return appended;
            }
            chunk.clear();
        }
    } while (from != 0);
    if (!co_await all_written()) {
        co_return Result<void>{};
    }
    const auto finish = [&]() -> asio::awaitable<Result<void>> { co_return writer.finish(); };
    co_return co_await asio::co_spawn(disk_, finish, asio::use_awaitable);
}

/// Waits until the lines that were made up to now are written, or dropped and declared. False where the end
/// comes first.
asio::awaitable<bool> StateKeeper::all_written() {
    intake_.submit(wall_clock_now());
    const std::uint64_t lines = intake_.submitted_lines();
    while (!ending_) {
        const EventLogCounters log = intake_.log().counters();
        if (log.lines_written + log.lines_dropped >= lines) {
            co_return true;
        }
        timer_.expires_after(look_again);
        co_await timer_.async_wait(quietly);
    }
    co_return false;
}

void StateKeeper::save_last(bool clean) {
    disk_.join();
    if (path_.empty()) {
        return;
    }
    if (const auto saved = save_at_once(clean); !saved) {
        spdlog::error("{}", saved.error().text);
    }
}

Result<void> StateKeeper::save_at_once(bool clean) {
    auto writer = StateWriter::create(path_, header(clean));
    if (!writer) {
        return tl::unexpected(writer.error());
    }
    StateChunk chunk;
    std::size_t from = 0;
    do {
        from = intake_.table().visit(from, slice, [&](const FlowView& flow) { chunk.add(flow); });
        if (!chunk.empty()) {
            if (auto appended = writer->append(chunk); !appended) {
                return appended;
            }
            chunk.clear();
        }
    } while (from != 0);
    return writer->finish();
}

StateHeader StateKeeper::header(bool clean) const {
    return {.origin = intake_.source().origin(),
            .run = run_,
            .sequence = intake_.pipeline().next_sequence() - 1,
            .uids = intake_.table().counters().opened,
            .kernel_drops = intake_.source().loss().declared(),
            .heard_until = intake_.source().heard_until(),
            .clean = clean,
            .log_path = log_path_};
}

}  // namespace flowkin
