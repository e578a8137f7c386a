// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/standard_output.hpp"

#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <utility>

#include "base/unique_fd.hpp"
#include "unit/sink/lines.hpp"

using namespace flowkin;
using namespace flowkin::test;

namespace {

struct Channel {
    UniqueFd reader;
    UniqueFd writer;
};

Channel make_pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Channel make_socket() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Channel make_terminal() {
    int master = -1;
    int terminal = -1;
    REQUIRE(::openpty(&master, &terminal, nullptr, nullptr, nullptr) == 0);
    return {UniqueFd(master), UniqueFd(terminal)};
}

std::unique_ptr<EventLog> open_on(int fd, EventLog::Callbacks callbacks = {},
                                  std::size_t queue_bytes = 64U << 20U) {
    auto log = EventLog::open({.queue_bytes = queue_bytes, .standard_output = fd}, std::move(callbacks));
    if (!log) {
        FAIL(log.error().text);
    }
    return *std::move(log);
}

std::string read_all(int fd) {
    std::string text;
    std::string buffer(10'000, '\0');
    for (ssize_t got = 0; (got = ::read(fd, buffer.data(), buffer.size())) > 0;) {
        text.append(buffer, 0, static_cast<std::size_t>(got));
    }
    return text;
}

std::chrono::milliseconds close_time(EventLog& log, std::chrono::milliseconds deadline,
                                     std::optional<LineLoss>& loss) {
    const auto begin = std::chrono::steady_clock::now();
    loss = log.close(deadline);
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
}

}  // namespace

TEST_CASE("a reader of standard output gets every line, once, in order, also where he is slow") {
    auto channel = GENERATE(0, 1) == 0 ? make_pipe() : make_socket();
    auto log = open_on(channel.writer.get());
    std::string text;
    std::thread reader([&] {
        std::this_thread::sleep_for(50ms);
        text = read_all(channel.reader.get());
    });
    constexpr std::uint64_t count = 20'000;
    for (std::uint64_t next = 1; next <= count; next += 100) {
        submit_lines(*log, next, 100, 200 + next % 31);
    }
    const auto loss = log->close(10s);
    log.reset();
    channel.writer.reset();
    reader.join();
    CHECK_FALSE(loss);
    CHECK(sequences(text) == range(1, count));
}

TEST_CASE("standard output that is a file is appended to where it stands") {
    const Folder folder;
    const UniqueFd file(::open((folder / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const auto head = lines(1, 1);
    REQUIRE(::write(file.get(), head.bytes().data(), head.size()) == 100);
    auto log = open_on(file.get());
    submit_lines(*log, 2, 99);
    CHECK_FALSE(log->close(1s));
    CHECK(sequences(text_of(folder / "out")) == range(1, 100));
}

TEST_CASE("standard output on a full disk goes on with the rest of the torn line") {
    const Folder folder;
    if (!own_mounts()) {
        return;
    }
    const Mount disk(folder.path(), "size=64k");
    const UniqueFd file(::open((folder / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    Heard heard;
    auto log = open_on(file.get(), heard.callbacks());
    submit_lines(*log, 1, 1000);
    REQUIRE(eventually([&] { return heard.all().size() == 1; }));
    CHECK_THAT(heard.all()[0], Catch::Contains("cannot write to standard output: No space left"));
    CHECK(text_of(folder / "out").size() == 65'536);
    REQUIRE(::mount("tmpfs", folder.path().c_str(), "tmpfs", MS_REMOUNT, "size=1m") == 0);
    REQUIRE(written(*log, 1000));
    CHECK(sequences(text_of(folder / "out")) == range(1, 1000));
    REQUIRE(eventually([&] { return heard.all().size() == 2; }));
    CHECK(heard.all()[1] == "recovered");
}

TEST_CASE("a reader that goes away ends the log once, without a signal, and what follows is lost") {
    auto channel = GENERATE(0, 1) == 0 ? make_pipe() : make_socket();
    Heard heard;
    auto log = open_on(channel.writer.get(), heard.callbacks());
    submit_lines(*log, 1, 1);
    REQUIRE(written(*log, 1));
    channel.reader.reset();
    submit_lines(*log, 2, 5);
    REQUIRE(eventually([&] { return heard.all().size() == 1; }));
    CHECK(heard.all()[0] == "ended: standard output was closed by its reader");
    submit_lines(*log, 7, 3);
    const auto beat = log->heartbeat();
    CHECK(eventually([&] { return log->heartbeat() != beat; }));
    const auto loss = log->close(1s);
    CHECK(heard.all().size() == 1);
    REQUIRE(loss);
    CHECK(loss->first_sequence == 2);
    CHECK(loss->last_sequence == 9);
    CHECK(loss->lines == 8);
    CHECK(loss->write_failed);
}

TEST_CASE("a terminal that hangs up ends the log") {
    auto terminal = make_terminal();
    Heard heard;
    auto log = open_on(terminal.writer.get(), heard.callbacks());
    terminal.reader.reset();
    submit_lines(*log, 1, 1);
    REQUIRE(eventually([&] { return heard.all().size() == 1; }));
    CHECK(heard.all()[0] == "ended: the terminal is gone");
}

TEST_CASE("a reader that stands still holds up neither submit nor heartbeat nor close") {
    const int kind = GENERATE(0, 1, 2);
    auto channel = kind == 0 ? make_pipe() : kind == 1 ? make_socket() : make_terminal();
    auto log = open_on(channel.writer.get());
    const auto begin = std::chrono::steady_clock::now();
    submit_lines(*log, 1, 10'000);
    CHECK(std::chrono::steady_clock::now() - begin < 100ms);
    REQUIRE(eventually([&] { return log->counters().lines_written > 0; }));
    const auto beat = log->heartbeat();
    CHECK(eventually([&] { return log->heartbeat() != beat; }, 1s));

    std::optional<LineLoss> loss;
    const auto took = close_time(*log, 200ms, loss);
    CHECK(took >= 150ms);
    CHECK(took < 500ms);
    REQUIRE(loss);
    CHECK(loss->lines == 10'000 - log->counters().lines_written);
    CHECK(loss->first_sequence == log->counters().lines_written + 1);
    CHECK(loss->last_sequence == 10'000);
    CHECK_FALSE(loss->write_failed);
}

TEST_CASE("the description that standard output shares with others stays blocking") {
    auto channel = make_pipe();
    auto log = open_on(channel.writer.get());
    submit_lines(*log, 1, 10);
    CHECK_FALSE(log->close(1s));
    CHECK((::fcntl(channel.writer.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("standard output that is closed or read-only is refused") {
    const auto refused = [](int fd) {
        auto log = EventLog::open({.standard_output = fd}, {});
        return !log && log.error().fault == Fault::input_output;
    };
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK(refused(null.get()));
    CHECK(refused(1'000'000));
}

TEST_CASE("without /proc a pipe is still read in full, and close still returns in time") {
    if (!own_mounts()) {
        return;
    }
    auto channel = make_pipe();
    std::unique_ptr<EventLog> log;
    {
        const Mount over_proc("/proc", "size=4k");
        log = open_on(channel.writer.get());
    }
    submit_lines(*log, 1, 2000);
    SECTION("the reader reads") {
        std::string text;
        std::thread reader([&] { text = read_all(channel.reader.get()); });
        const auto loss = log->close(5s);
        channel.writer.reset();
        reader.join();
        CHECK_FALSE(loss);
        CHECK(sequences(text) == range(1, 2000));
    }
    SECTION("the reader stands still") {
        std::optional<LineLoss> loss;
        CHECK(close_time(*log, 100ms, loss) < 400ms);
        REQUIRE(loss);
        CHECK(loss->last_sequence == 2000);
    }
}

TEST_CASE("close leaves a writer behind that hangs in one write, and no callback comes after it") {
    if (!own_mounts()) {
        return;
    }
    auto terminal = make_terminal();
    auto heard = std::make_unique<Heard>();
    std::unique_ptr<EventLog> log;
    {
        const Mount over_proc("/proc",
                              "size=4k");  // so that the terminal cannot be opened again: writes block
        log = open_on(terminal.writer.get(), heard->callbacks());
    }
    submit_lines(*log, 1, 2000);
    // Stuck: the heartbeat stands.
    REQUIRE(eventually([&] {
        const auto beat = log->heartbeat();
        std::this_thread::sleep_for(150ms);
        return log->heartbeat() == beat;
    }));
    std::optional<LineLoss> loss;
    CHECK(close_time(*log, 100ms, loss) < 400ms);
    REQUIRE(loss);
    CHECK(loss->last_sequence == 2000);
    CHECK(loss->lines == 2000 - loss->first_sequence + 1);
    log.reset();
    heard.reset();
    terminal.reader.reset();  // wakes the writer with an error
    std::this_thread::sleep_for(50ms);
}
