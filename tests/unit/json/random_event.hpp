// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <random>

#include "sample.hpp"

namespace flowkin::samples {

/// Events of any content, the same for the same seed. Numbers are often at one end of their range, strings
/// hold any bytes, and what is optional is often absent.
class RandomEvents {
  public:
    explicit RandomEvents(std::uint64_t seed) : bits_(seed) {}

    /// What it points to is good until the next call.
    Event next();

    /// Settings that create() takes, with static fields and label names.
    LineEncoderSettings settings();

  private:
    Event flow_event();
    Event expectation_event();
    Event packet_event();
    PacketHeaders headers(Family family);
    PacketMessage packet();
    Event loss_event();
    Event monitor_event();

    std::uint64_t below(std::uint64_t limit) { return bits_() % limit; }
    bool maybe() { return below(2) != 0; }
    template <class Integer>
    Integer any();
    template <class Value>
    std::optional<Value> perhaps(Value value) {
        return maybe() ? std::optional<Value>(value) : std::nullopt;
    }
    std::string bytes(std::size_t longest);
    WallTime time();
    Address random_address(Family family);
    Tuple random_tuple(Family family, Protocol protocol);
    Protocol protocol();
    FlowUid uid();
    void fill(Flow& flow);
    Lineage lineage();
    MonitorCounters counters();

    std::mt19937_64 bits_;
    Flow flow_;
    Tuple reply_;
    Lineage lineage_;
    Tags tags_;
    MarkHistory marks_;
    ExpectationMessage expectation_;
    PacketMessage packet_;
    PacketMessage refused_;
    std::string names_[4];
};

}  // namespace flowkin::samples
