// SPDX-License-Identifier: GPL-2.0-or-later
//
// How long events wait while a table of a million flows is held against the kernel's: the longest step of a
// reconcile, for events are read between the steps. It fails where a step takes more than 20 ms.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "event_stream.hpp"
#include "json/line_encoder.hpp"
#include "pipeline/pipeline.hpp"

namespace flowkin {
namespace {

constexpr std::uint32_t flows = 1'000'000;
constexpr std::size_t dump_bytes = 60'000;  // as the kernel fills a buffer of 64 KiB
constexpr std::size_t sweep_slice = 1024;   // as the monitor does
constexpr double longest_allowed_ms = 20;

/// A dump of so many flows, in datagrams of many messages.
const std::vector<std::vector<std::uint8_t>>& dump() {
    static const std::vector<std::vector<std::uint8_t>> datagrams = [] {
        std::vector<std::vector<std::uint8_t>> made(1);
        for (std::uint32_t number = 0; number < flows; ++number) {
            const auto message = testing::flow_datagram(bench::udp_flow(FlowMessageKind::dump, number));
            if (made.back().size() + message.size() > dump_bytes) {
                made.emplace_back();
            }
            made.back().insert(made.back().end(), message.begin(), message.end());
        }
        return made;
    }();
    return datagrams;
}

/// Of this thread's own time: the benchmark may share its core.
double cpu_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// The longest of the steps that were taken.
class Steps {
  public:
    template <class Step>
    void take(Step step) {
        const double before = cpu_ms();
        step();
        longest_ms_ = std::max(longest_ms_, cpu_ms() - before);
    }
    double longest_ms() const { return longest_ms_; }

  private:
    double longest_ms_ = 0;
};

/// `alive`: the kernel still has all flows; else it has none of them.
void reconcile(benchmark::State& state, bool alive) {
    for (auto round : state) {
        state.PauseTiming();
        Pipeline pipeline({.table = {.run = 1, .hash_seed = 1}, .updates = Updates::significant},
                          std::move(*LineEncoder::create(
                              {.run = 1, .host_name = "bench", .fields = {}, .label_names = {}})));
        for (std::uint32_t number = 0; number < flows; ++number) {
            pipeline.table().apply(bench::udp_flow(FlowMessageKind::new_flow, number), WallTime{});
            pipeline.batch().clear();
        }
        dump();
        state.ResumeTiming();
        Steps dumping;
        Steps sweeping;
        pipeline.table().begin_reconcile(WallTime{});
        for (const auto& datagram : dump()) {
            if (alive) {
                dumping.take([&] { pipeline.feed(datagram, WallTime{}); });
                pipeline.batch().clear();
            }
        }
        for (bool over = false; !over;) {
            sweeping.take([&] { over = pipeline.table().finish_reconcile(WallTime{}, sweep_slice); });
            pipeline.batch().clear();
        }
        state.counters["longest dump step, ms"] = dumping.longest_ms();
        state.counters["longest sweep step, ms"] = sweeping.longest_ms();
        if (std::max(dumping.longest_ms(), sweeping.longest_ms()) > longest_allowed_ms) {
            state.SkipWithError("an event would wait longer than 20 ms");
            break;
        }
    }
}

BENCHMARK_CAPTURE(reconcile, a_million_flows_live, true)->Unit(benchmark::kMillisecond)->Iterations(3);
BENCHMARK_CAPTURE(reconcile, a_million_flows_vanished, false)->Unit(benchmark::kMillisecond)->Iterations(3);

}  // namespace
}  // namespace flowkin

BENCHMARK_MAIN();
