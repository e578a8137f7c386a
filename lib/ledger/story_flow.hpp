// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ledger/record_fields.hpp"

namespace flowkin {

/// For hash tables.
struct UidHash {
    std::size_t operator()(const Uid& uid) const {
        return static_cast<std::size_t>(uid.run ^ (uid.counter * 0x9e37'79b9'7f4a'7c15U));
    }
};

std::string uid_text(const Uid& uid);

/// An address and, where the protocol has them, a port, as a record gives them.
struct LogEnd {
    std::string ip;
    std::optional<std::uint64_t> port;
    friend bool operator==(const LogEnd&, const LogEnd&) = default;

    bool known() const { return !ip.empty(); }
    /// "10.1.0.2:80", "[fd01::2]:80"
    std::string text() const;
};

/// The end that stands under `path` ("source", "source.nat").
LogEnd end_of(const RecordFields& record, const std::string& path);

/// From when to when a flow is known to have been there.
struct FlowLife {
    std::optional<WallTime> start;  ///< where it is known
    WallTime first{};               ///< the first record's time
    WallTime last{};                ///< the last record's; of a flow that ended, its end
    bool ended = false;

    void learn(const RecordFields& record);
    /// What is not known counts as having been there.
    WallTime earliest() const { return start.value_or(first); }
    WallTime latest() const { return ended ? last : WallTime::max(); }
};

/// A flow as the last of its records shows it.
struct StoryFlow {
    std::optional<Uid> uid;
    std::optional<Uid> parent;
    std::string number;  ///< "1" for the root, "1.2" for its second child
    std::uint64_t children = 0;
    bool asked_for = false;
    bool seen = false;  ///< no record of its own was read: known by its children's records alone

    std::optional<std::uint64_t> kernel_id;
    std::string host;
    std::string transport;
    std::string community_id;
    std::string reply_community_id;
    std::string helper;
    std::string unseen_parent;  ///< the tuple of a parent that flowkin never met
    LogEnd source;
    LogEnd destination;
    LogEnd source_nat;
    LogEnd destination_nat;
    std::optional<std::uint64_t> bytes_out;
    std::optional<std::uint64_t> bytes_back;
    std::optional<std::uint64_t> packets_out;
    std::optional<std::uint64_t> packets_back;
    std::optional<std::uint64_t> mark;
    std::string mark_origin;
    bool refused = false;  ///< at its first packet, by a rule: the flow never came to be
    std::string reason;
    std::string outcome;
    FlowLife life;

    void learn(const RecordFields& record);
    /// Of a flow that has no record of its own, or none so far, a packet shows the tuple.
    void learn_packet(const RecordFields& record);
    /// "tcp 10.1.0.2:4242 → 10.2.0.2:21"
    std::string text() const;
};

}  // namespace flowkin
