// SPDX-License-Identifier: GPL-2.0-or-later
#include "socket_loss.hpp"

#include <catch2/catch.hpp>

using namespace flowkin;

namespace {

WallTime at(int seconds) {
    return WallTime(std::chrono::seconds(seconds));
}

}  // namespace

TEST_CASE("a loss lies between the last time nothing was missing and the look that found it") {
    SocketLoss loss(0);
    loss.whole(at(1));
    CHECK(loss.look(3));
    loss.overrun();
    loss.whole(at(2));  // too late: the loss is open
    CHECK(loss.open());
    const auto event = loss.settle(3, at(4), at(4));
    REQUIRE(event);
    CHECK(event->count == 3);
    CHECK(event->since == at(1));
    CHECK(event->until == at(4));
    CHECK_FALSE(loss.open());
}

TEST_CASE("each drop is declared once") {
    SocketLoss loss(10);
    CHECK_FALSE(loss.settle(10, at(1), at(1)));
    CHECK(loss.settle(15, at(2), at(2))->count == 5);
    CHECK_FALSE(loss.settle(15, at(3), at(3)));
    CHECK(loss.settle(16, at(4), at(4))->count == 1);
    CHECK(loss.total() == 6);
}

TEST_CASE("what is lost while the counter is read may lie in two records, and never in none") {
    SocketLoss loss(0);
    loss.whole(at(1));
    const auto first = loss.settle(2, at(5), at(7));
    REQUIRE(first);
    CHECK(first->until == at(7));
    const auto second = loss.settle(3, at(8), at(9));
    REQUIRE(second);
    CHECK(second->since == at(5));
}

TEST_CASE("the kernel's counter may wrap") {
    SocketLoss loss(0xfffffffe);
    CHECK(loss.settle(3, at(1), at(1))->count == 5);
}

TEST_CASE("what an earlier process of the same socket declared is not declared again") {
    SocketLoss loss(0);
    loss.declared_before(40);
    CHECK(loss.settle(42, at(1), at(1))->count == 2);
    CHECK(loss.declared() == 42);
}
