// SPDX-License-Identifier: GPL-2.0-or-later
//
// What an event costs from its bytes to its line, over a generated million: NEW and DESTROY of 500,000 flows,
// with a thousand living at a time.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <new>
#include <vector>

#include "event_stream.hpp"
#include "json/line_encoder.hpp"
#include "netlink/decode.hpp"
#include "pipeline/pipeline.hpp"

namespace {

std::uint64_t allocations = 0;

}  // namespace

// Counts what is taken from the heap, so that the benchmark can say that an event takes nothing.
void* operator new(std::size_t bytes) {
    ++allocations;
    if (void* memory = std::malloc(bytes); memory != nullptr) {
        return memory;
    }
    throw std::bad_alloc();
}
#pragma GCC diagnostic ignored \
    "-Wmismatched-new-delete"  // g++ 12 sees the new above inlined and this one not
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
    std::free(memory);
}

namespace flowkin {
namespace {

constexpr std::uint32_t living = 1000;

const bench::EventStream& million() {
    static const bench::EventStream stream = bench::flows_that_come_and_go(500'000, living);
    return stream;
}

LineEncoder encoder() {
    return std::move(*LineEncoder::create({.run = 1, .host_name = "bench", .fields = {}, .label_names = {}}));
}

/// Swallows events.
class Nowhere final : public EventReceiver {
  public:
    void receive(const Event& event) override { benchmark::DoNotOptimize(&event); }
};

void report(benchmark::State& state, std::uint64_t events, std::uint64_t taken) {
    state.SetItemsProcessed(static_cast<std::int64_t>(events));
    state.counters["ns/event"] = benchmark::Counter(
        static_cast<double>(events) * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    state.counters["allocations/event"] = static_cast<double>(taken) / static_cast<double>(events);
}

void decode(benchmark::State& state) {
    const bench::EventStream& stream = million();
    Decoded decoded{Skipped{}};
    std::uint64_t events = 0;
    const std::uint64_t before = allocations;
    for (auto round : state) {
        for (std::size_t i = 0; i < stream.size(); ++i) {
            for (MessageReader reader(stream[i]); reader.next(decoded);) {
                benchmark::DoNotOptimize(decoded);
            }
        }
        events += stream.size();
    }
    report(state, events, allocations - before);
}

void decode_and_table(benchmark::State& state) {
    const bench::EventStream& stream = million();
    Nowhere nowhere;
    FlowTable table({.run = 1, .hash_seed = 1}, nowhere);
    Decoded decoded{Skipped{}};
    std::uint64_t events = 0;
    const std::uint64_t before = allocations;
    for (auto round : state) {
        for (std::size_t i = 0; i < stream.size(); ++i) {
            for (MessageReader reader(stream[i]); reader.next(decoded);) {
                table.apply(*std::get_if<FlowMessage>(&decoded), WallTime{});
            }
        }
        events += stream.size();
    }
    report(state, events, allocations - before);
}

void encode(benchmark::State& state) {
    class Encoding final : public EventReceiver {
      public:
        void receive(const Event& event) override {
            lines.encode(event, ++sequence, batch);
            if (batch.size() > 60'000) {
                batch.clear();
            }
        }
        LineEncoder lines = encoder();
        LineBatch batch;
        std::uint64_t sequence = 0;
    } receiver;
    Flow flow;
    const FlowMessage message = bench::udp_flow(FlowMessageKind::destroy, 7);
    flow.key = message.key;
    flow.uid = {1, 1};
    flow.has_counters = flow.has_start = true;
    FlowEvent event{.action = FlowAction::end, .at = *message.event_time, .view = {.flow = &flow}};
    event.end.ended = message.stop;
    const Event wrapped = event;
    receiver.receive(wrapped);
    const std::uint64_t before = allocations;
    for (auto round : state) {
        receiver.receive(wrapped);
    }
    report(state, static_cast<std::uint64_t>(state.iterations()), allocations - before);
}

void whole_pipeline(benchmark::State& state) {
    const bench::EventStream& stream = million();
    Pipeline pipeline({.table = {.run = 1, .hash_seed = 1}, .updates = Updates::significant}, encoder());
    std::uint64_t events = 0;
    for (std::size_t i = 0; i < std::size_t{10} * living; ++i) {  // what is taken once and kept
        pipeline.feed(stream[i], WallTime{});
    }
    pipeline.batch().clear();
    const std::uint64_t before = allocations;
    for (auto round : state) {
        stream.for_each_batch([&](auto datagrams) {
            pipeline.feed(datagrams, WallTime{});
            pipeline.batch().clear();
        });
        events += stream.size();
    }
    report(state, events, allocations - before);
}

BENCHMARK(decode)->Unit(benchmark::kMillisecond);
BENCHMARK(decode_and_table)->Unit(benchmark::kMillisecond);
BENCHMARK(encode);
BENCHMARK(whole_pipeline)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flowkin

BENCHMARK_MAIN();
