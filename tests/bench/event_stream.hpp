// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flow/message.hpp"
#include "support/conntrack_message_builder.hpp"

/// Events as the kernel would say them, made in memory: for benchmarks of the rooms.
namespace flowkin::bench {

/// The NEW or the DESTROY of a UDP flow that is told by its number.
inline FlowMessage udp_flow(FlowMessageKind kind, std::uint32_t number) {
    FlowMessage message;
    message.kind = kind;
    Tuple& tuple = message.key.original;
    tuple.source.bytes = {10, 1, static_cast<std::uint8_t>(number >> 24U),
                          static_cast<std::uint8_t>(number >> 16U)};
    tuple.destination.bytes = {10, 2, 0, 2};
    tuple.source_port = static_cast<std::uint16_t>(number);
    tuple.destination_port = 53;
    tuple.protocol = Protocol::udp;
    message.reply = mirror(tuple);
    message.id = number * 2654435761U;
    message.status = Status{0x188};
    message.timeout_s = 30;
    const WallTime at(nanoseconds(1'790'000'000'000'000'000 + std::int64_t{number} * 10'000));
    message.event_time = at;
    if (kind == FlowMessageKind::destroy) {
        message.status = Status{0x388};
        message.original_counters = Counters{1, 60};
        message.reply_counters = Counters{0, 0};
        message.start = at;
        message.stop = at + std::chrono::milliseconds(10);
    }
    return message;
}

/// Datagrams back to back.
class EventStream {
  public:
    std::size_t size() const { return ends_.size(); }
    std::span<const std::uint8_t> operator[](std::size_t i) const {
        const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
        return {bytes_.data() + begin, ends_[i] - begin};
    }
    void add(const std::vector<std::uint8_t>& datagram) {
        bytes_.insert(bytes_.end(), datagram.begin(), datagram.end());
        ends_.push_back(bytes_.size());
    }
    void clear() {
        bytes_.clear();
        ends_.clear();
    }

    /// Gives the datagrams to `take`, as many at once as a receive gives at most.
    template <class Take>
    void for_each_batch(Take take) const {
        constexpr std::size_t batch = 128;
        std::vector<std::span<const std::uint8_t>> datagrams;
        datagrams.reserve(batch);
        for (std::size_t i = 0; i < size(); i += datagrams.size()) {
            datagrams.clear();
            while (datagrams.size() < batch && i + datagrams.size() < size()) {
                datagrams.push_back((*this)[i + datagrams.size()]);
            }
            take(std::span<const std::span<const std::uint8_t>>(datagrams));
        }
    }

  private:
    std::vector<std::uint8_t> bytes_;
    std::vector<std::size_t> ends_;
};

/// NEW and DESTROY of so many flows, of which `living` live at a time.
inline EventStream flows_that_come_and_go(std::uint32_t flows, std::uint32_t living) {
    EventStream stream;
    for (std::uint32_t number = 0; number < flows + living; ++number) {
        if (number < flows) {
            stream.add(testing::flow_datagram(udp_flow(FlowMessageKind::new_flow, number)));
        }
        if (number >= living) {
            stream.add(testing::flow_datagram(udp_flow(FlowMessageKind::destroy, number - living)));
        }
    }
    return stream;
}

}  // namespace flowkin::bench
