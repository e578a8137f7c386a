// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/key_hash.hpp"

#include <catch2/catch.hpp>
#include <set>
#include <vector>

using namespace flowkin;

namespace {

FlowKey key_of(std::uint32_t number) {
    FlowKey key;
    key.original.source.bytes = {10, 1, static_cast<std::uint8_t>(number >> 24U),
                                 static_cast<std::uint8_t>(number >> 16U)};
    key.original.destination.bytes = {10, 2, 0, 2};
    key.original.source_port = static_cast<std::uint16_t>(number);
    key.original.destination_port = 53;
    key.original.protocol = Protocol::udp;
    return key;
}

/// How many places of an index they would come to lie on.
std::size_t places(const std::vector<FlowKey>& keys, std::uint64_t seed, std::uint64_t last_bits) {
    const KeyHash hash(seed);
    std::set<std::uint64_t> taken;
    for (const FlowKey& key : keys) {
        taken.insert(hash(key) & last_bits);
    }
    return taken.size();
}

}  // namespace

TEST_CASE("tuples that were chosen to collide under one seed are spread by another") {
    constexpr std::uint64_t last_bits = 0xff;
    const KeyHash known(0);
    std::vector<FlowKey> chosen;
    for (std::uint32_t number = 0; chosen.size() < 2'000; ++number) {
        if (const FlowKey key = key_of(number); (known(key) & last_bits) == 0) {
            chosen.push_back(key);
        }
    }
    CHECK(places(chosen, 0, last_bits) == 1);
    for (const std::uint64_t seed : {1U, 2U, 77U, 0xffffffffU}) {
        CHECK(places(chosen, seed, last_bits) > 250);  // of 256, as 2,000 of no order would be
    }
}

TEST_CASE("ports that count up are spread under any seed") {
    std::vector<FlowKey> keys;
    for (std::uint32_t number = 0; number < 1'000; ++number) {
        keys.push_back(key_of(1024 + number));
    }
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        CHECK(places(keys, seed, 0x7ff) > 720);  // of 2,048; 1,000 of no order take 791
    }
}
