// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "flow/event.hpp"
#include "flow/flow.hpp"
#include "flow/message.hpp"

namespace flowkin {

struct FlowTableSettings {
    RunId run = 0;
    std::size_t capacity = 4'000'000;              ///< flows; beyond it nothing is inserted
    std::optional<nanoseconds> active_interval{};  ///< flow-active for flows older than it, at each dump
    std::optional<std::uint64_t> hash_seed{};  ///< empty: random, as a daemon that strangers feed needs it
};

struct FlowTableCounters {
    std::uint64_t opened = 0;
    std::uint64_t ended = 0;
    std::uint64_t stale = 0;     ///< messages of an incarnation that is no longer ours to speak of
    std::uint64_t replaced = 0;  ///< incarnations whose DESTROY was missed
    std::uint64_t refused = 0;   ///< flows not inserted because the table was full
};

/// What a reconcile found so far.
struct ReconcileCounts {
    std::uint64_t dumped = 0;
    std::uint64_t discovered = 0;
    std::uint64_t ended = 0;
    std::uint64_t unchanged = 0;
};

/// The flows of one network namespace, as far as we know them: who lives, who descends from whom, where marks
/// come from. Messages go in, events come out.
///
/// The model:
/// - The key is the original tuple with its zone. Each life of a key is an incarnation with a uid of its
///   own. NEW for a live key ends the old incarnation first (`replaced`). A DESTROY whose CTA_ID is not the
///   stored one is stale. An UPDATE or DESTROY of an unknown flow opens it as flow-seen, with gaps.
/// - A parent is resolved at the child's first sight, from CTA_TUPLE_MASTER (which only NEW and dumps
///   carry), and kept as a uid. A child met before its parent keeps the tuple. From a dump a parent is
///   believed only if it is older than the child: the kernel goes on naming a dead parent's tuple, which
///   may since belong to another.
/// - Reconcile: between begin_reconcile() and its end, dump messages merge with what events say; what an
///   event said since the beginning wins. Destroyed flows leave tombstones, because the kernel may dump an
///   entry after it announced its end. The sweep at the end ends the flows that neither dump nor event
///   spoke of.
///
/// Events are given to the receiver during the call. Not for use by two threads. No call throws but for
/// memory.
class FlowTable {
  public:
    FlowTable(FlowTableSettings settings, EventReceiver& receiver);
    FlowTable(FlowTable&&) = delete;
    ~FlowTable();

    /// `now` is the message's arrival: it stands in where the kernel gave no time of its own.
    void apply(const FlowMessage& message, WallTime now);
    void apply(const ExpectationMessage& message, WallTime now);

    /// Gives up waiting for children whose expectation is gone: call about once a second.
    void tick(WallTime now);

    void begin_reconcile(WallTime now);
    bool reconciling() const;
    /// One slice of the sweep: looks at `slots` places of the table. True when all were looked at, and the
    /// reconcile is over; until then dump messages must not come any more, events may.
    bool finish_reconcile(WallTime now, std::size_t slots);
    /// The dump was of no use: nothing is swept.
    void abandon_reconcile(WallTime now);
    ReconcileCounts reconcile_counts() const;

    /// A REJECT rule answered a packet of this flow: it ends as a failure.
    void note_rejected(const FlowKey& key);

    /// Events were lost: from now on each record of a flow that lives now says that updates may be missing.
    void note_loss();

    /// Puts back a flow that an earlier run knew, under its old uid, without a word: it was opened then.
    /// False where its key is taken or the table is full. After the last one, relink().
    bool restore(const FlowRecord& record);
    /// Joins restored children to their living parents.
    void relink();
    /// Forgets what was restored.
    void clear();

    /// To have in the cache what a message that comes soon will touch: first fetch_place(), and fetch_flow() when that
    /// has had its time.
    std::uint64_t hash(const FlowKey& key) const;
    void fetch_place(std::uint64_t hash) const;
    void fetch_flow(std::uint64_t hash) const;

    std::optional<FlowView> find(const FlowKey& key) const;
    std::size_t size() const;
    std::size_t capacity() const;
    std::size_t memory_bytes() const;
    FlowTableCounters counters() const;
    /// Visits the flows in `places` places of the table from place `from` on: the place to go on from, or the
    /// end (0) where all were visited.
    std::size_t visit(std::size_t from, std::size_t places,
                      const std::function<void(const FlowView&)>& visitor) const;

    void set_active_interval(std::optional<nanoseconds> interval);

  private:
    class Model;
    std::unique_ptr<Model> model_;
};

}  // namespace flowkin
