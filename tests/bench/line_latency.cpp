// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

/// line_latency FILE: how long after its event a line stands in the file. Reads what comes to the end of a log from now
/// on, until SIGTERM, and takes the time from each flow-start's @timestamp, which is the kernel's own, to when the line
/// could be read. It looks each tenth of a millisecond, which is in the figures. On standard output one line of JSON.
namespace {

volatile std::sig_atomic_t asked_to_end = 0;

/// Nanoseconds since 1970 of "2026-11-23T09:15:02.123456789Z".
std::int64_t parse_time(std::string_view text) {
    const auto number = [&](std::size_t from, std::size_t digits) {
        return std::strtoll(std::string(text.substr(from, digits)).c_str(), nullptr, 10);
    };
    tm parts{};
    parts.tm_year = static_cast<int>(number(0, 4)) - 1900;
    parts.tm_mon = static_cast<int>(number(5, 2)) - 1;
    parts.tm_mday = static_cast<int>(number(8, 2));
    parts.tm_hour = static_cast<int>(number(11, 2));
    parts.tm_min = static_cast<int>(number(14, 2));
    parts.tm_sec = static_cast<int>(number(17, 2));
    return static_cast<std::int64_t>(::timegm(&parts)) * 1'000'000'000 + number(20, 9);
}

std::int64_t wall_ns() {
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

class Tail {
  public:
    explicit Tail(const char* path) : fd_(::open(path, O_RDONLY | O_CLOEXEC)) {
        if (fd_) {
            ::lseek(fd_.get(), 0, SEEK_END);
        }
    }
    explicit operator bool() const { return static_cast<bool>(fd_); }

    /// Takes what has come; false where nothing has.
    bool look() {
        const ssize_t bytes = ::read(fd_.get(), buffer_.data(), buffer_.size());
        if (bytes <= 0) {
            return false;
        }
        const std::int64_t now = wall_ns();
        rest_.append(buffer_.data(), static_cast<std::size_t>(bytes));
        std::size_t begin = 0;
        for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', begin)) {
            take(std::string_view(rest_).substr(begin, end - begin), now);
            begin = end + 1;
        }
        rest_.erase(0, begin);
        return true;
    }

    std::vector<std::int64_t>& latencies_ns() { return latencies_ns_; }

  private:
    void take(std::string_view line, std::int64_t now) {
        constexpr std::string_view opening = R"({"@timestamp":")";
        if (line.starts_with(opening) && line.find(R"("action":"flow-start")") != std::string_view::npos) {
            latencies_ns_.push_back(now - parse_time(line.substr(opening.size(), 30)));
        }
    }

    flowkin::UniqueFd fd_;
    std::vector<char> buffer_ = std::vector<char>(1 << 20);
    std::string rest_;
    std::vector<std::int64_t> latencies_ns_;
};

double milliseconds_at(const std::vector<std::int64_t>& sorted, double share) {
    const auto place = static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1));
    return static_cast<double>(sorted[place]) / 1e6;
}

}  // namespace

int main(int count, char** words) {
    std::signal(SIGTERM, [](int) { asked_to_end = 1; });
    if (count != 2) {
        std::fprintf(stderr, "usage: line_latency FILE\n");
        return 64;
    }
    Tail tail(words[1]);
    if (!tail) {
        std::perror(words[1]);
        return 1;
    }
    std::puts("ready");
    std::fflush(stdout);
    while (asked_to_end == 0) {
        if (!tail.look()) {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
    }
    while (tail.look()) {
    }
    auto& latencies = tail.latencies_ns();
    std::sort(latencies.begin(), latencies.end());
    if (latencies.empty()) {
        std::puts(R"({"lines": 0})");
        return 0;
    }
    std::printf(R"({"lines": %zu, "p50_ms": %.3f, "p99_ms": %.3f, "longest_ms": %.3f})"
                "\n",
                latencies.size(), milliseconds_at(latencies, 0.5), milliseconds_at(latencies, 0.99),
                milliseconds_at(latencies, 1.0));
    return 0;
}
