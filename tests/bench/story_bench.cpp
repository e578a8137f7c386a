// SPDX-License-Identifier: GPL-2.0-or-later
// How fast --story goes through a log in which nothing matches, by what it is asked; and where one family does.
#include <benchmark/benchmark.h>

#include <array>
#include <sstream>
#include <string>

#include "ledger/story_files.hpp"
#include "log_file.hpp"

namespace {

using flowkin::test::LogFile;
using flowkin::test::make_log;

void ask(benchmark::State& state, const std::string& what, bool is_there) {
    const std::string log = make_log(200'000, 1'000);
    const LogFile file(log);
    const std::array paths{file.path()};
    const auto question = flowkin::parse_story_question(what, std::nullopt);
    for (auto _ : state) {
        std::ostringstream out;
        if (flowkin::tell_story(*question, paths, flowkin::StoryForm::plain, out).has_value() != is_there) {
            state.SkipWithError("another answer than expected");
        }
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(log.size()) * state.iterations());
}

BENCHMARK_CAPTURE(ask, uid, "000000000000aaaa0000000001000000", false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, kernel_id, "2840116599", false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, community_id, "1:wCb3OG7yAFWelaUydu0D+125CLM=", false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, address, "10.1.0.2", false)->Unit(benchmark::kMillisecond);
// The address stands in each line; the port, in none.
BENCHMARK_CAPTURE(ask, port_of_a_gateway, "198.51.100.7:61234", false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, a_family, "000000000000aaaa0000000000000009", true)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
