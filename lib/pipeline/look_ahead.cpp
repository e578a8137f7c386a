// SPDX-License-Identifier: GPL-2.0-or-later
#include "pipeline/look_ahead.hpp"

#include "netlink/decode.hpp"

namespace flowkin {

void LookAhead::begin(std::span<const Datagram> datagrams) {
    ahead_ = 0;
    std::size_t bytes = 0;
    for (const Datagram datagram : datagrams) {
        bytes += datagram.size();
    }
    if (bytes < least_bytes) {
        return;
    }
    datagrams_ = datagrams;
    rest_ = {};
    hashes_ = {};
    ahead_ = distance;
    for (std::size_t i = 0; i < distance; ++i) {
        look();
    }
}

void LookAhead::look() {
    std::optional<std::uint64_t>& hash = hashes_[at_ % distance];
    hash = next_hash();
    if (hash) {
        table_.fetch_place(*hash);
    }
    if (const auto& earlier = hashes_[(at_ + distance - flow_distance) % distance]) {
        table_.fetch_flow(*earlier);
    }
    ++at_;
}

/// Of the next message; none where it speaks of no flow, and after the last.
std::optional<std::uint64_t> LookAhead::next_hash() {
    if (rest_.empty()) {
        if (datagrams_.empty()) {
            return std::nullopt;
        }
        rest_ = datagrams_.front();
        datagrams_ = datagrams_.subspan(1);
    }
    const auto tuple = take_flow_tuple(rest_);
    return tuple ? std::optional(table_.hash({*tuple, {}})) : std::nullopt;
}

}  // namespace flowkin
