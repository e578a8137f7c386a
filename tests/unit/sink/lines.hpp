// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <numeric>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/line_batch.hpp"
#include "base/time.hpp"
#include "sink/event_log.hpp"

namespace flowkin::test {

using namespace std::chrono_literals;

inline const WallTime noon{std::chrono::hours(12)};

/// Adds `count` lines from sequence `first` on; each is at least `length` bytes long.
inline void add_lines(LineBatch& batch, std::uint64_t first, std::uint64_t count, std::size_t length = 100) {
    for (auto sequence = first; sequence < first + count; ++sequence) {
        std::string line = R"({"sequence":)" + std::to_string(sequence) + R"(,"pad":")";
        line.append(length > line.size() + 3 ? length - line.size() - 3 : 0, 'x');
        line += "\"}\n";
        std::memcpy(batch.reserve(line.size()), line.data(), line.size());
        batch.commit(line.size(), sequence);
    }
}

inline LineBatch lines(std::uint64_t first, std::uint64_t count, std::size_t length = 100) {
    LineBatch batch;
    add_lines(batch, first, count, length);
    return batch;
}

inline void submit_lines(EventLog& log, std::uint64_t first, std::uint64_t count, std::size_t length = 100) {
    auto batch = lines(first, count, length);
    log.submit(batch, noon);
}

/// The sequences of `text`, which must be whole lines and nothing else.
inline std::vector<std::uint64_t> sequences(std::string_view text) {
    constexpr std::string_view head = R"({"sequence":)";
    std::vector<std::uint64_t> found;
    while (!text.empty()) {
        const auto end = text.find('\n');
        REQUIRE(end != std::string_view::npos);
        const auto line = text.substr(0, end);
        const bool whole =
            line.starts_with(head) && line.ends_with("\"}") && line.find(head, 1) == std::string_view::npos;
        if (!whole) {
            FAIL("a torn line: " << line.substr(0, 60));
        }
        std::uint64_t sequence = 0;
        std::from_chars(line.data() + head.size(), line.data() + line.size(), sequence);
        found.push_back(sequence);
        text.remove_prefix(end + 1);
    }
    return found;
}

/// from, from + 1, … to
inline std::vector<std::uint64_t> range(std::uint64_t from, std::uint64_t to) {
    std::vector<std::uint64_t> all(to - from + 1);
    std::iota(all.begin(), all.end(), from);
    return all;
}

inline std::string text_of(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

inline void write_text(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
}

template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds within = 5s) {
    const auto until = std::chrono::steady_clock::now() + within;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) {
            return false;
        }
        std::this_thread::sleep_for(2ms);
    }
    return true;
}

inline bool written(const EventLog& log, std::uint64_t count) {
    return eventually([&] { return log.counters().lines_written >= count; });
}

/// A new folder, removed with all in it at the end.
class Folder {
  public:
    Folder() {
        char name[] = "/tmp/flowkin-sink-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + '/' + name; }

  private:
    std::string path_;
};

/// Gives the calling thread, and those it starts, mounts of its own. False: not allowed here.
inline bool own_mounts() {
    static const bool own =
        ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    if (!own) {
        WARN("skipped: mounting needs root");
    }
    return own;
}

/// A file system over a folder, gone again at the end.
class Mount {
  public:
    Mount(std::string folder, const std::string& options) : folder_(std::move(folder)) {
        REQUIRE(::mount("tmpfs", folder_.c_str(), "tmpfs", 0, options.c_str()) == 0);
    }
    ~Mount() { ::umount2(folder_.c_str(), MNT_DETACH); }
    Mount(const Mount&) = delete;
    Mount& operator=(const Mount&) = delete;

  private:
    std::string folder_;
};

/// What the callbacks said, in order.
class Heard {
  public:
    EventLog::Callbacks callbacks() {
        return {.failing = [this](const std::string& text) { add("failing: " + text); },
                .recovered = [this] { add("recovered"); },
                .ended = [this](const std::string& text) { add("ended: " + text); }};
    }
    std::vector<std::string> all() const {
        const std::lock_guard lock(mutex_);
        return all_;
    }

  private:
    void add(std::string text) {
        const std::lock_guard lock(mutex_);
        all_.push_back(std::move(text));
    }

    mutable std::mutex mutex_;
    std::vector<std::string> all_;
};

inline std::unique_ptr<EventLog> open_file(FileSettings file, EventLog::Callbacks callbacks = {},
                                           std::size_t queue_bytes = 64U << 20U) {
    auto log = EventLog::open({.file = std::move(file), .queue_bytes = queue_bytes}, std::move(callbacks));
    if (!log) {
        FAIL(log.error().text);
    }
    return *std::move(log);
}

}  // namespace flowkin::test
