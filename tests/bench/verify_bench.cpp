// SPDX-License-Identifier: GPL-2.0-or-later
// How fast --verify goes through a log: flows that live side by side, each opened, updated and ended, one in
// ten a child.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "ledger/log_record.hpp"
#include "ledger/verify_files.hpp"
#include "support/log_text.hpp"

namespace {

using flowkin::test::LogText;

std::string make_log(std::uint64_t flows, std::uint64_t live) {
    LogText log;
    log.start_fresh();
    for (std::uint64_t i = 1; i <= flows + live; ++i) {
        if (i <= flows) {
            i % 10 == 0 ? log.child(i, i - 1, i - 1) : log.open(i);
        }
        if (i > live) {
            log.update(i - live).close(i - live);
        }
    }
    return log.stop(0).text();
}

class LogFile {
  public:
    explicit LogFile(const std::string& text) {
        const int fd = ::mkstemp(path_.data());
        std::ofstream(path_.data()) << text;
        ::close(fd);
    }
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;
    ~LogFile() { ::unlink(path_.data()); }
    std::string path() const { return path_.data(); }

  private:
    std::array<char, 32> path_{"/tmp/verify_bench.XXXXXX"};
};

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
