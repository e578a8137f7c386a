// SPDX-License-Identifier: GPL-2.0-or-later
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "event_stream.hpp"
#include "flow/key_hash.hpp"
#include "json/line_encoder.hpp"
#include "pipeline/pipeline.hpp"

/// table_growth TUPLES LIVE EVENTS: what an event costs, from datagram to line, in a table of so many live flows. Flows
/// come and go in no order, as many at a time. On standard output one line of JSON.
///
///   random        tuples as they come, under a seed of the table's own
///   hostile       tuples that collide under the seed 0, as one chooses them who knows the hash but not the seed
///   hostile-known the same under the seed 0: what a table without a seed would suffer
namespace flowkin {
namespace {

constexpr std::uint64_t known_seed = 0;

double thread_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Gives one flow after the other, by its number: each, or those that collide in the last bits of their hash.
class Numbers {
  public:
    explicit Numbers(bool hostile) : hostile_(hostile) {}

    std::uint32_t next() {
        constexpr std::uint64_t colliding_bits = 0x3ff;
        for (;; ++number_) {
            if (!hostile_ ||
                (hash_(bench::udp_flow(FlowMessageKind::new_flow, number_).key) & colliding_bits) == 0) {
                return number_++;
            }
        }
    }

  private:
    bool hostile_;
    KeyHash hash_{known_seed};
    std::uint32_t number_ = 0;
};

/// What the process holds of memory now, in bytes.
std::uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t pages = 0;
    file >> pages >> pages;
    return pages * 4096;
}

class Growth {
  public:
    Growth(bool hostile, std::optional<std::uint64_t> seed)
        : numbers_(hostile),
          pipeline_({.table = {.run = 1, .capacity = 100'000'000, .hash_seed = seed},
                     .updates = Updates::significant},
                    std::move(*LineEncoder::create(
                        {.run = 1, .host_name = "bench", .fields = {}, .label_names = {}}))) {}

    void open(std::uint32_t flows) {
        for (std::uint32_t flow = 0; flow < flows; ++flow) {
            live_.push_back(numbers_.next());
            say(FlowMessageKind::new_flow, live_.back());
        }
        feed();
    }

    /// One goes, one comes.
    void turn_over(std::uint32_t events) {
        std::uniform_int_distribution<std::size_t> any(0, live_.size() - 1);
        for (std::uint32_t event = 0; event < events; event += 2) {
            std::uint32_t& flow = live_[any(random_)];
            say(FlowMessageKind::destroy, flow);
            flow = numbers_.next();
            say(FlowMessageKind::new_flow, flow);
        }
        feed();
    }

    double take_seconds() { return std::exchange(seconds_, 0.0); }
    std::size_t table_bytes() const { return pipeline_.table().memory_bytes(); }

  private:
    void say(FlowMessageKind kind, std::uint32_t number) {
        stream_.add(testing::flow_datagram(bench::udp_flow(kind, number)));
        if (stream_.size() == 1024) {
            feed();
        }
    }

    void feed() {
        const double began = thread_seconds();
        stream_.for_each_batch([&](auto datagrams) {
            pipeline_.feed(datagrams, WallTime{});
            pipeline_.batch().clear();
        });
        seconds_ += thread_seconds() - began;
        stream_.clear();
    }

    Numbers numbers_;
    Pipeline pipeline_;
    bench::EventStream stream_;
    std::vector<std::uint32_t> live_;
    std::mt19937 random_{1};
    double seconds_ = 0;
};

int run(std::string_view tuples, std::uint32_t live, std::uint32_t events) {
    const std::optional<std::uint64_t> seed =
        tuples == "hostile-known" ? std::optional(known_seed) : std::nullopt;
    const std::uint64_t before = resident_bytes();
    Growth growth(tuples != "random", seed);
    growth.open(live);
    growth.turn_over(events / 10);
    (void)growth.take_seconds();
    growth.turn_over(events);
    const double seconds = growth.take_seconds();
    std::printf(R"({"live": %u, "ns_an_event": %.1f, "table_bytes": %zu, "resident_bytes": %llu})"
                "\n",
                live, seconds / events * 1e9, growth.table_bytes(),
                static_cast<unsigned long long>(resident_bytes() - before));
    return 0;
}

bool parse(std::string_view text, std::uint32_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace
}  // namespace flowkin

int main(int count, char** words) {
    const std::string_view tuples = count == 4 ? words[1] : "";
    std::uint32_t live = 0;
    std::uint32_t events = 0;
    if ((tuples != "random" && tuples != "hostile" && tuples != "hostile-known") ||
        !flowkin::parse(words[2], live) || !flowkin::parse(words[3], events) || live == 0 || events == 0) {
        std::fprintf(stderr, "usage: table_growth random|hostile|hostile-known LIVE EVENTS\n");
        return 64;
    }
    return flowkin::run(tuples, live, events);
}
