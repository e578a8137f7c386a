// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/key_index.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "flow/key_hash.hpp"
#include "flow/slab.hpp"
#include "recorder.hpp"

using namespace flowkin;
using namespace flowkin::test;

TEST_CASE(
    "the index finds what was inserted and not erased, under random turnover and with colliding hashes") {
    std::mt19937 random(1);
    KeyIndex index;
    std::map<std::uint32_t, std::uint64_t> model;
    for (std::uint32_t step = 0; step < 50'000; ++step) {
        if (model.empty() || random() % 5 < 3) {
            const std::uint64_t hash = random() % 64 == 0 ? 42 : random();
            index.insert(hash, step);
            model[step] = hash;
        } else {
            auto at = model.lower_bound(static_cast<std::uint32_t>(random() % step));
            if (at == model.end()) {
                at = model.begin();
            }
            index.erase(at->second, at->first);
            model.erase(at);
        }
    }
    for (const auto& [slot, hash] : model) {
        const auto wanted = slot;
        CHECK(index.find(hash, [&](std::uint32_t found) { return found == wanted; }) == slot);
    }
    CHECK(index.find(42, [](std::uint32_t) { return false; }) == KeyIndex::none);
}

TEST_CASE("the hash depends on every part of the key and on the seed") {
    const KeyHash hash(1);
    FlowKey key{tcp(1, 2), {}};
    const std::uint64_t base = hash(key);
    for (std::size_t i = 0; i < 16; ++i) {
        FlowKey other = key;
        other.original.source.bytes[i] ^= 1;
        CHECK(hash(other) != base);
        other = key;
        other.original.destination.bytes[i] ^= 1;
        CHECK(hash(other) != base);
    }
    FlowKey swapped = key;
    std::swap(swapped.original.source_port, swapped.original.destination_port);
    CHECK(hash(swapped) != base);
    FlowKey zoned = key;
    zoned.zone = {1, ZoneDirection::both};
    CHECK(hash(zoned) != base);
    zoned.zone = {0, ZoneDirection::original};
    CHECK(hash(zoned) != base);
    FlowKey udp = key;
    udp.original.protocol = Protocol::udp;
    CHECK(hash(udp) != base);
    CHECK(KeyHash(2)(key) != base);
}

TEST_CASE("a slab uses again what was freed, and its values do not move") {
    Slab<std::uint64_t> slab;
    const auto first = slab.insert();
    std::uint64_t* place = &slab[first];
    for (int i = 0; i < 5000; ++i) {
        slab.insert();
    }
    CHECK(&slab[first] == place);
    slab.erase(first);
    CHECK(!slab.contains(first));
    CHECK(slab.insert() == first);
    CHECK(slab[first] == 0);
    CHECK(slab.size() == 5001);
}

TEST_CASE("the mirror of a tuple is what the kernel makes its reply: ICMP types turn into their answer") {
    Tuple echo;
    echo.protocol = Protocol::icmp;
    echo.source = ipv4(1, 2, 3, 4);
    echo.destination = ipv4(5, 6, 7, 8);
    echo.set_icmp({8, 0, 99});
    const Tuple reply = mirror(echo);
    CHECK(reply.icmp() == IcmpFields{0, 0, 99});
    CHECK(reply.source == echo.destination);
    CHECK(mirror(reply) == echo);
    CHECK(mirror(tcp(1, 2)).source_port == 2);
}
