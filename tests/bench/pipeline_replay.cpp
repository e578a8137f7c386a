// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>

#include "event_stream.hpp"
#include "json/line_encoder.hpp"
#include "pipeline/pipeline.hpp"

/// pipeline_replay: always the same events, the same way through the pipeline, and the same lines: what instructions.py
/// counts the instructions of. It prints how many events it fed in measured_turn().
using flowkin::Pipeline;
using flowkin::bench::EventStream;

/// A name that callgrind finds: it counts from its beginning to its end.
extern "C" [[gnu::noinline]] void measured_turn(Pipeline& pipeline, const EventStream& stream) {
    stream.for_each_batch([&](auto datagrams) {
        pipeline.feed(datagrams, flowkin::WallTime{});
        pipeline.batch().clear();
    });
}

namespace flowkin {
namespace {

constexpr std::uint32_t flows = 10'000;
constexpr std::uint32_t living = 1'000;

void run() {
    Pipeline pipeline(
        {.table = {.run = 1, .hash_seed = 1}, .updates = Updates::significant},
        std::move(*LineEncoder::create({.run = 1, .host_name = "replay", .fields = {}, .label_names = {}})));
    // What is taken once and kept is taken in a first turn.
    const bench::EventStream stream = bench::flows_that_come_and_go(flows, living);
    stream.for_each_batch([&](auto datagrams) {
        pipeline.feed(datagrams, WallTime{});
        pipeline.batch().clear();
    });
    measured_turn(pipeline, stream);
    std::printf("%zu\n", stream.size());
}

}  // namespace
}  // namespace flowkin

int main() {
    flowkin::run();
    return 0;
}
