// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>

#include "flow/message.hpp"

/// Messages with any attribute there or not, and with any value that the kernel's format can bear.
namespace flowkin::testing {

class RandomMessages {
  public:
    explicit RandomMessages(std::uint64_t seed) : source_(seed) {}

    FlowMessage flow() {
        FlowMessage flow;
        flow.kind = static_cast<FlowMessageKind>(below(4));
        flow.port_id = coin() ? number<std::uint32_t>() : 0;
        const Family family = any_family();
        const Protocol protocol = any_protocol();
        flow.key.original = tuple(family, protocol);
        flow.reply = coin() ? mirror(flow.key.original) : tuple(family, protocol);
        if (coin()) {
            flow.key.zone = {static_cast<std::uint16_t>(1 + below(65'535)),
                             static_cast<ZoneDirection>(below(3))};
        }
        flow.mark = number<std::uint32_t>();
        maybe(flow.id, [&] { return number<std::uint32_t>(); });
        maybe(flow.status, [&] { return Status{number<std::uint32_t>()}; });
        maybe(flow.timeout_s, [&] { return number<std::uint32_t>(); });
        if (protocol == Protocol::tcp || protocol == Protocol::sctp || protocol == Protocol::dccp) {
            maybe(flow.protocol_state, [&] { return number<std::uint8_t>(); });
        }
        maybe(flow.helper, [&] { return helper(); });
        maybe(flow.labels, [&] {
            Labels labels;
            std::generate(labels.bytes.begin(), labels.bytes.end(), [&] { return number<std::uint8_t>(); });
            return labels;
        });
        maybe(flow.master, [&] { return tuple(family, any_protocol()); });
        maybe(flow.original_counters, [&] { return counters(); });
        maybe(flow.reply_counters, [&] { return counters(); });
        maybe(flow.start, [&] { return stamp(); });
        maybe(flow.stop, [&] { return stamp(); });
        maybe(flow.event_time, [&] { return stamp(); });
        return flow;
    }

    ExpectationMessage expectation() {
        ExpectationMessage expectation;
        expectation.kind = static_cast<ExpectationMessageKind>(below(3));
        expectation.port_id = coin() ? number<std::uint32_t>() : 0;
        const Family family = any_family();
        const Protocol protocol = any_protocol();
        expectation.expected = tuple(family, protocol);
        expectation.mask = tuple(family, protocol);
        expectation.master = tuple(family, any_protocol());
        expectation.id = number<std::uint32_t>();
        maybe(expectation.timeout_s, [&] { return number<std::uint32_t>(); });
        maybe(expectation.flags, [&] { return number<std::uint32_t>(); });
        maybe(expectation.expectation_class, [&] { return number<std::uint32_t>(); });
        maybe(expectation.helper, [&] { return helper(); });
        return expectation;
    }

    std::uint64_t below(std::uint64_t bound) { return source_() % bound; }

  private:
    bool coin() { return below(2) == 0; }

    /// Now and then the ends of the range.
    template <class Number>
    Number number() {
        switch (below(8)) {
            case 0:
                return 0;
            case 1:
                return std::numeric_limits<Number>::max();
            default:
                return static_cast<Number>(source_());
        }
    }

    template <class T, class Make>
    void maybe(std::optional<T>& value, Make make) {
        if (coin()) {
            value = make();
        }
    }

    Family any_family() { return coin() ? Family::ipv4 : Family::ipv6; }

    Protocol any_protocol() {
        constexpr std::array<Protocol, 8> shaped = {Protocol::icmp, Protocol::tcp,    Protocol::udp,
                                                    Protocol::dccp, Protocol::gre,    Protocol::ipv6_icmp,
                                                    Protocol::sctp, Protocol::udplite};
        return below(8) == 0 ? static_cast<Protocol>(below(256)) : shaped.at(below(shaped.size()));
    }

    Tuple tuple(Family family, Protocol protocol) {
        Tuple tuple;
        tuple.family = family;
        tuple.protocol = protocol;
        const auto fill = [&](Address& address) {
            const auto end = family == Family::ipv4 ? address.bytes.begin() + 4 : address.bytes.end();
            std::generate(address.bytes.begin(), end, [&] { return number<std::uint8_t>(); });
        };
        fill(tuple.source);
        fill(tuple.destination);
        if (is_icmp(protocol)) {
            tuple.set_icmp({number<std::uint8_t>(), number<std::uint8_t>(), number<std::uint16_t>()});
        } else if (has_ports(protocol) || protocol == Protocol::gre) {
            tuple.source_port = number<std::uint16_t>();
            tuple.destination_port = number<std::uint16_t>();
        }
        return tuple;
    }

    HelperName helper() {
        std::string name(1 + below(HelperName::longest), 'x');
        std::generate(name.begin(), name.end(), [&] { return static_cast<char>(1 + below(255)); });
        return HelperName(name);
    }

    Counters counters() { return {number<std::uint64_t>(), number<std::uint64_t>()}; }

    WallTime stamp() {
        const std::uint64_t latest = std::numeric_limits<std::int64_t>::max();
        return WallTime(nanoseconds(1 + number<std::uint64_t>() % latest));
    }

    std::mt19937_64 source_;
};

}  // namespace flowkin::testing
