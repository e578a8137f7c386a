// SPDX-License-Identifier: GPL-2.0-or-later
// How fast --verify goes through a log.
#include <benchmark/benchmark.h>

#include <array>
#include <sstream>

#include "ledger/log_record.hpp"
#include "ledger/verify_files.hpp"
#include "log_file.hpp"

namespace {

using flowkin::test::LogFile;
using flowkin::test::LogText;
using flowkin::test::make_log;

void verify_log(benchmark::State& state) {
    const std::string log = make_log(200'000, static_cast<std::uint64_t>(state.range(0)));
    const LogFile file(log);
    const std::array paths{file.path()};
    for (auto _ : state) {
        std::ostringstream out;
        const auto status = flowkin::verify_files(paths, out, -1);
        if (!status || *status != 0) {
            state.SkipWithError("the log does not hold");
        }
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(log.size()) * state.iterations());
}
BENCHMARK(verify_log)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

void read_one_record(benchmark::State& state) {
    const std::string line = LogText().child(7, 6, 6).text();
    flowkin::LogRecord record;
    for (auto _ : state) {
        benchmark::DoNotOptimize(flowkin::read_record(line, record));
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(line.size()) * state.iterations());
}
BENCHMARK(read_one_record);

}  // namespace

BENCHMARK_MAIN();
