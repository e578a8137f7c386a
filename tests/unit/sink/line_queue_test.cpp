// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/line_queue.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "unit/sink/lines.hpp"

using namespace flowkin;
using namespace flowkin::test;

namespace {

constexpr std::size_t everything = SIZE_MAX;

void put(LineQueue& queue, std::uint64_t first, std::uint64_t count, WallTime now = noon) {
    auto batch = lines(first, count);
    queue.submit(batch, now, false);
    CHECK(batch.empty());
}

/// Takes one line of 100 bytes, `count` times.
void take_lines(LineQueue& queue, std::uint64_t count) {
    for (; count != 0; --count) {
        REQUIRE(queue.front(100).bytes.size() == 100);
        queue.pop(100, 1);
    }
}

}  // namespace

TEST_CASE("lines leave the queue in the order they came, in as few pieces as there are swaps") {
    LineQueue queue(1000);
    put(queue, 1, 2);
    const auto front = queue.front(everything);
    CHECK(sequences(front.bytes) == range(1, 2));
    CHECK(front.lines == 2);
    put(queue, 3, 1);
    put(queue, 4, 2);
    CHECK(queue.queued_bytes() == 500);
    CHECK(sequences(front.bytes) == range(1, 2));
    queue.pop(front.bytes.size(), 2);
    CHECK(sequences(queue.front(everything).bytes) == range(3, 5));
    queue.pop(300, 3);
    CHECK(queue.empty());
    CHECK(queue.front(everything).bytes.empty());
}

TEST_CASE("what is left of a line that was written in part is the next front") {
    LineQueue queue(1000);
    put(queue, 1, 3);
    const std::string all(queue.front(everything).bytes);
    CHECK_FALSE(queue.front(150).lines);
    queue.pop(150, 1);
    const auto rest = queue.front(everything);
    CHECK(rest.bytes == all.substr(150));
    CHECK(rest.lines == 2);
}

TEST_CASE("once a batch was dropped all are, until the queue is half empty: one gap") {
    LineQueue queue(1000);
    put(queue, 1, 9);
    put(queue, 10, 2, noon + 1s);
    put(queue, 12, 1, noon + 2s);  // would fit, but the gap must not be torn in two
    CHECK(queue.lines_dropped() == 3);
    CHECK_FALSE(queue.take_loss());
    take_lines(queue, 3);
    put(queue, 13, 1, noon + 3s);
    CHECK_FALSE(queue.take_loss());
    take_lines(queue, 1);
    const auto loss = queue.take_loss();
    REQUIRE(loss);
    CHECK(loss->lines == 4);
    CHECK(loss->first_sequence == 10);
    CHECK(loss->last_sequence == 13);
    CHECK(loss->since == noon + 1s);
    CHECK(loss->until == noon + 3s);
    CHECK_FALSE(loss->write_failed);
    CHECK_FALSE(queue.take_loss());
    put(queue, 14, 1);
    take_lines(queue, 5);
    CHECK(sequences(queue.front(everything).bytes) == range(14, 14));
}

TEST_CASE("a gap that nobody took grows over the next one") {
    LineQueue queue(1000);
    put(queue, 1, 10);
    put(queue, 11, 1);
    take_lines(queue, 10);
    put(queue, 12, 10);  // there is room: the gap is 11 alone
    auto batch = lines(22, 2);
    queue.submit(batch, noon, true);
    take_lines(queue, 10);
    const auto loss = queue.take_loss();
    REQUIRE(loss);
    CHECK(loss->lines == 3);
    CHECK(loss->first_sequence == 11);
    CHECK(loss->last_sequence == 23);
    CHECK(loss->write_failed);
}

TEST_CASE("a batch that is larger than the queue is dropped and the next one is not") {
    LineQueue queue(1000);
    put(queue, 1, 11);
    put(queue, 12, 1);
    CHECK(queue.queued_bytes() == 100);
    const auto loss = queue.take_loss();
    REQUIRE(loss);
    CHECK(loss->last_sequence == 11);
}

TEST_CASE("what is still queued at the end is a loss, together with the gap before it") {
    LineQueue queue(1000);
    CHECK_FALSE(queue.unwritten(false));
    put(queue, 1, 5, noon);
    take_lines(queue, 2);
    put(queue, 6, 5, noon + 1s);
    put(queue, 11, 4, noon + 2s);
    const auto loss = queue.unwritten(true);
    REQUIRE(loss);
    CHECK(loss->lines == 3 + 5 + 4);
    CHECK(loss->first_sequence == 3);
    CHECK(loss->last_sequence == 14);
    CHECK(loss->since == noon);
    CHECK(loss->until == noon + 2s);
    CHECK(loss->write_failed);
}

TEST_CASE("a buffer that grew large while the destination was slow is given back") {
    LineQueue queue(64U << 20U);
    put(queue, 1, 1000);
    CHECK(queue.pop(queue.front(everything).bytes.size(), 1000).size() == 0);
    put(queue, 1001, 60'000);
    CHECK(queue.pop(queue.front(everything).bytes.size(), 60'000).size() == 6'000'000);
    CHECK(queue.empty());
}
