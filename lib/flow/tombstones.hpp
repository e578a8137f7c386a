// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>

#include "flow/flow.hpp"
#include "flow/key_hash.hpp"
#include "flow/message.hpp"

namespace flowkin {

/// What was destroyed while a dump runs. The kernel fills a batch of entries before it queues it, so an entry
/// may be dumped after its DESTROY was read (measured: 8 and 11 of 158,000 under churn), without the DYING
/// bit.
class Tombstones {
  public:
    explicit Tombstones(std::uint64_t hash_seed) : stones_(0, Hash{KeyHash(hash_seed)}) {}

    void add(const Flow& flow) { stones_.insert({flow.key, flow.kernel_id}); }
    bool contain(const FlowMessage& message) const {
        return stones_.contains({message.key, message.id.value_or(0)});
    }
    void reserve(std::size_t flows) { stones_.reserve(flows); }
    void clear() { stones_ = Set(0, stones_.hash_function()); }

  private:
    struct Stone {
        FlowKey key;
        KernelFlowId id = 0;
        friend bool operator==(const Stone&, const Stone&) = default;
    };
    struct Hash {
        using is_avalanching = void;
        KeyHash hash;
        std::size_t operator()(const Stone& stone) const { return hash(stone.key); }
    };
    using Set = boost::unordered_flat_set<Stone, Hash>;
    Set stones_;
};

}  // namespace flowkin
