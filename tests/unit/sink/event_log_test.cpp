// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/event_log.hpp"

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <numeric>
#include <sstream>
#include <string>

#include "base/unique_fd.hpp"
#include "unit/sink/lines.hpp"

using namespace flowkin;
using namespace flowkin::test;

namespace {

/// What /proc says about the one writer thread of this program.
std::string writer_status(const std::string& field) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (text_of(task.path() / "comm") == "writer\n") {
            std::istringstream status(text_of(task.path() / "status"));
            for (std::string line; std::getline(status, line);) {
                if (line.starts_with(field + ":\t")) {
                    return line.substr(field.size() + 2);
                }
            }
        }
    }
    FAIL("no writer thread, or no " << field);
    return {};
}

}  // namespace

TEST_CASE("every line submitted under load is in the file, once, in order") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    constexpr std::uint64_t count = 200'000;
    LineBatch batch;
    for (std::uint64_t next = 1; next <= count;) {
        const auto size = std::min<std::uint64_t>(1 + next % 97, count - next + 1);
        add_lines(batch, next, size);
        log->submit(batch, noon);
        REQUIRE(batch.empty());
        next += size;
    }
    CHECK_FALSE(log->close(10s));
    CHECK(sequences(text_of(folder / "log")) == range(1, count));
    const auto counters = log->counters();
    CHECK(counters.lines_written == count);
    CHECK(counters.bytes_written == std::filesystem::file_size(folder / "log"));
    CHECK(counters.queued_bytes == 0);
    CHECK(counters.lines_dropped == 0);
    CHECK(counters.write_errors == 0);
    CHECK_FALSE(counters.failing);
}

TEST_CASE("each write is counted once, by how long it took") {
    WriteLatency latency;
    for (const auto took : {1us, 50us, 51us, 5'000'000us, 60'000'000us}) {
        latency.book(took);
    }
    CHECK(latency.writes == decltype(latency.writes){2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1});
    CHECK(latency.total == 65'000'102us);

    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    submit_lines(*log, 1, 1);
    log->close(10s);
    const auto& writes = log->counters().latency.writes;
    CHECK(std::accumulate(writes.begin(), writes.end(), std::uint64_t{}) == 1);
}

TEST_CASE("an idle log writes a line at once") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    for (std::uint64_t i = 1; i <= 3; ++i) {
        std::this_thread::sleep_for(20ms);
        submit_lines(*log, i, 1);
        CHECK(eventually([&] { return text_of(folder / "log").size() == i * 100; }, 100ms));
    }
}

TEST_CASE("the heartbeat moves while there is nothing to write and while there is") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    std::uint64_t last = 0;
    const auto moved = [&] {
        const auto now = log->heartbeat();
        return std::exchange(last, now) != now;
    };
    REQUIRE(eventually(moved));
    std::this_thread::sleep_for(20ms);
    CHECK(moved());
    CHECK(moved());
    submit_lines(*log, 1, 10);
    CHECK(eventually(moved));
    REQUIRE(written(*log, 10));
    CHECK(eventually(moved));
}

TEST_CASE("a log that goes out of scope writes what it has") {
    const Folder folder;
    {
        auto log = open_file({.path = folder / "log"});
        submit_lines(*log, 1, 1000);
    }
    CHECK(sequences(text_of(folder / "log")) == range(1, 1000));
}

TEST_CASE("a second close tells nothing") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    submit_lines(*log, 1, 1);
    CHECK_FALSE(log->close(1s));
    CHECK_FALSE(log->close(1s));
}

TEST_CASE("a full queue tells its one gap, and every line outside it is written") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd reader(ends[0]);
    UniqueFd pipe_writer(ends[1]);
    auto opened = EventLog::open({.queue_bytes = 200'000, .standard_output = pipe_writer.get()}, {});
    REQUIRE(opened);
    auto& log = **opened;

    // A pipe holds 64 KiB and nobody reads: some 2,650 lines fit in all.
    for (std::uint64_t next = 1; next <= 4000; next += 10) {
        submit_lines(log, next, 10);
    }
    CHECK_FALSE(log.take_loss());
    CHECK(log.counters().lines_dropped > 0);
    CHECK(log.counters().queued_bytes <= 200'000);

    std::string text;
    std::thread drain([&] {
        std::string buffer(65'536, '\0');
        for (ssize_t got = 0; (got = ::read(reader.get(), buffer.data(), buffer.size())) > 0;) {
            text.append(buffer, 0, static_cast<std::size_t>(got));
        }
    });
    std::optional<LineLoss> loss;
    const bool told = eventually([&] { return (loss = log.take_loss()).has_value(); });
    if (told) {
        submit_lines(log, 4001, 50);
    }
    const auto rest = log.close(5s);
    opened->reset();
    pipe_writer.reset();
    drain.join();
    REQUIRE(told);
    CHECK_FALSE(rest);
    CHECK(loss->last_sequence == 4000);
    CHECK(loss->lines == 4000 - loss->first_sequence + 1);
    CHECK_FALSE(loss->write_failed);
    auto expected = range(1, loss->first_sequence - 1);
    const auto after = range(4001, 4050);
    expected.insert(expected.end(), after.begin(), after.end());
    CHECK(sequences(text) == expected);
}

TEST_CASE("the writer thread takes no signal from the program") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    const auto blocked = std::stoull(writer_status("SigBlk"), nullptr, 16);
    for (const int signal : {SIGHUP, SIGTERM, SIGINT, SIGPIPE, SIGXFSZ}) {
        CHECK((blocked >> static_cast<unsigned>(signal - 1) & 1U) == 1);
    }
}

TEST_CASE("a writer with nothing to do does not wake") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    submit_lines(*log, 1, 1);
    REQUIRE(written(*log, 1));
    std::this_thread::sleep_for(50ms);
    const auto before = writer_status("voluntary_ctxt_switches");
    std::this_thread::sleep_for(1200ms);
    CHECK(writer_status("voluntary_ctxt_switches") == before);
}
