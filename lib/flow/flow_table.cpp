// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/flow_table.hpp"

#include <sys/random.h>

#include <cassert>
#include <system_error>
#include <vector>

#include "flow/flow_merge.hpp"
#include "flow/flow_store.hpp"
#include "flow/kinship.hpp"
#include "flow/open_expectations.hpp"
#include "flow/tombstones.hpp"

namespace flowkin {

namespace {

using Slot = FlowStore::Slot;
using Node = FlowStore::Node;
constexpr Slot none = FlowStore::none;

/// A dump may show an entry before its NEW is queued: that comes within microseconds, or as late as we read.
constexpr nanoseconds new_is_late = seconds(2);

std::uint64_t random_seed() {
    std::uint64_t seed = 0;
    if (::getrandom(&seed, sizeof seed, 0) != sizeof seed) {
        throw std::system_error(errno, std::generic_category(), "getrandom");
    }
    return seed;
}

}  // namespace

class FlowTable::Model {
  public:
    Model(const FlowTableSettings& settings, std::uint64_t seed, EventReceiver& receiver)
        : settings_(settings),
          receiver_(receiver),
          store_(seed),
          expectations_(seed),
          tombstones_(seed),
          vanished_(seed) {}

    void apply(const FlowMessage& message, WallTime now) {
        switch (message.kind) {
            case FlowMessageKind::new_flow:
                return apply_new(message, now);
            case FlowMessageKind::update:
                return apply_update(message, now);
            case FlowMessageKind::destroy:
                return apply_destroy(message, now);
            case FlowMessageKind::dump:
                return apply_dump(message, now);
        }
    }

    void apply(const ExpectationMessage& message, WallTime now) {
        const Lineage lineage =
            kinship_.lineage_of(message.master, store_.find({message.master, message.zone}));
        switch (message.kind) {
            case ExpectationMessageKind::created:
                if (expectations_.add(message, lineage)) {
                    say(ExpectationAction::created, message, lineage, {}, now);
                }
                break;
            case ExpectationMessageKind::destroyed:
                expectations_.remove(message, lineage, now);
                break;
            case ExpectationMessageKind::dump:
                break;
        }
    }

    void tick(WallTime now) {
        for (const auto& [expectation, lineage, gone, fulfilled] : expectations_.expire(now)) {
            say(ExpectationAction::ended, expectation, lineage, {}, now);
        }
    }

    void begin_reconcile(WallTime now) {
        assert(!reconciling_);
        reconciling_ = true;
        vanished_.clear();
        epoch_ = epoch_ == 0xffff ? std::uint16_t{1} : static_cast<std::uint16_t>(epoch_ + 1);
        counts_ = {};
        begun_ = now;
        sweep_at_ = 0;
    }

    bool finish_reconcile(WallTime now, std::size_t slots) {
        assert(reconciling_);
        settle_deferred(now);
        if (sweep_at_ == 0) {
            vanished_.reserve(store_.size());  // to grow in the midst of a sweep would take long
        }
        for (; slots != 0 && sweep_at_ < store_.slots(); --slots, ++sweep_at_) {
            const auto slot = static_cast<Slot>(sweep_at_);
            if (store_.contains(slot) && store_[slot].seen_in != epoch_ && store_[slot].spoken_in != epoch_) {
                vanish(slot, now);
            }
        }
        if (sweep_at_ < store_.slots()) {
            return false;
        }
        confirmed_ = begun_;
        end_reconcile();
        return true;
    }

    void abandon_reconcile(WallTime now) {
        if (reconciling_) {
            settle_deferred(now);
            end_reconcile();
        }
    }

    bool reconciling() const { return reconciling_; }
    const ReconcileCounts& counts() const { return counts_; }
    const FlowTableCounters& counters() const { return counters_; }
    const FlowStore& store() const { return store_; }
    FlowTableSettings& settings() { return settings_; }
    const FlowTableSettings& settings() const { return settings_; }
    void note_loss() { lossless_from_ = uid_counter_ + 1; }

    void note_rejected(const FlowKey& key) {
        if (const Slot slot = store_.find(key); slot != none) {
            store_[slot].flow.rejected = true;
        }
    }

    bool restore(const FlowRecord& record) {
        if (store_.size() >= settings_.capacity || store_.find(record.flow.key) != none) {
            return false;
        }
        const Slot slot = store_.insert(record.flow.key);
        Node& node = store_[slot];
        node.flow = record.flow;
        if (record.reply) {
            store_.set_reply(node, *record.reply);
        }
        if (record.tags) {
            store_.tags(node) = *record.tags;
        }
        if (record.marks) {
            store_.marks(node) = *record.marks;
        }
        if (record.lineage) {
            store_.adopt(slot, none, *record.lineage);
        }
        return true;
    }

    void clear() {
        for (Slot slot = 0; slot < store_.slots(); ++slot) {
            if (store_.contains(slot)) {
                store_.erase(slot);
            }
        }
    }

    void relink() { kinship_.relink(); }

  private:
    // ---- messages

    void apply_new(const FlowMessage& message, WallTime now) {
        const WallTime at = message.event_time.value_or(now);
        const Slot slot = store_.find(message.key);
        if (slot != none) {
            Node& node = store_[slot];
            if (node.flow.awaits_new && same_id(node.flow, message) &&
                now - node.flow.last_seen < new_is_late) {
                // The dump was quicker than this event: one flow, which is open already.
                node.flow.awaits_new = false;
                node.spoken_in = epoch_;
                set_start(node.flow, at);
                merge(store_, slot, message, at);
                return;
            }
            end_replaced(slot, at, Observed::event);
        }
        open(message, FlowAction::start, Observed::event, at, now);
    }

    void apply_update(const FlowMessage& message, WallTime now) {
        const WallTime at = message.event_time.value_or(now);
        const Slot slot = store_.find(message.key);
        if (slot == none) {
            if (message.status && message.status->has(StatusBit::dying)) {
                ++counters_.stale;
                return;
            }
            open(message, FlowAction::seen, Observed::event, at, now);
            return;
        }
        Node& node = store_[slot];
        if (!same_id(node.flow, message)) {
            if (node.flow.has_start && at < node.flow.started) {
                ++counters_.stale;
                return;
            }
            end_replaced(slot, at, Observed::event);
            open(message, FlowAction::seen, Observed::event, at, now);
            return;
        }
        const bool was_assured = node.flow.status.has(StatusBit::assured);
        node.spoken_in = epoch_;
        node.flow.awaits_new = false;
        const Changes changes = merge(store_, slot, message, at);
        say_update(slot, changes, was_assured, Observed::event, at);
    }

    void apply_destroy(const FlowMessage& message, WallTime now) {
        const WallTime at = message.event_time.value_or(now);
        Slot slot = store_.find(message.key);
        if (slot != none && !same_id(store_[slot].flow, message)) {
            ++counters_.stale;
            return;
        }
        const bool known = slot != none;
        if (!known) {
            if ((reconciling_ && tombstones_.contain(message)) || vanished_.contain(message)) {
                ++counters_.stale;
                return;
            }
            slot = open_for_a_moment(message, at);
        }
        Flow& flow = store_[slot].flow;
        merge(store_, slot, message, at);
        FlowEnd end{.reason = end_reason(flow, message.port_id),
                    .outcome = outcome(flow),
                    .ended = message.stop.value_or(at)};
        if (message.port_id != 0) {
            end.deleted_by = message.port_id;
        }
        if (!flow.has_counters) {
            flow.gaps.add(Gap::accounting_off);
        }
        if (!message.stop && !message.event_time) {
            flow.gaps.add(Gap::timestamps_off);
        }
        finish(slot, Observed::event, at, end, known);
    }

    void apply_dump(const FlowMessage& message, WallTime now) {
        ++counts_.dumped;
        if (reconciling_ && tombstones_.contain(message)) {
            if (const Slot slot = store_.find(message.key); slot != none) {
                store_[slot].seen_in = epoch_;  // a new life of the same key with the same id
            }
            return;
        }
        if (message.status && message.status->has(StatusBit::dying)) {
            // nf_ct_delete() says DESTROY first and takes the entry out of the table then.
            if (const Slot slot = store_.find(message.key); slot != none) {
                store_[slot].seen_in = epoch_;
            }
            return;
        }
        if (message.master && reconciling_ && store_.find({*message.master, message.key.zone}) == none &&
            !kin_is_known(message.key)) {
            deferred_.push_back(message);  // its parent may stand later in the dump
            return;
        }
        merge_dump(message, now);
    }

    bool kin_is_known(const FlowKey& key) const {
        const Slot slot = store_.find(key);
        return slot != none && kinship_.knows(slot);
    }

    void merge_dump(const FlowMessage& message, WallTime now) {
        const Slot slot = store_.find(message.key);
        if (slot == none) {
            ++counts_.discovered;
            open(message, FlowAction::seen, counts_observed(), now, now);
            return;
        }
        Node& node = store_[slot];
        const bool event_spoke = reconciling_ && node.spoken_in == epoch_;
        node.seen_in = epoch_;
        if (!same_id(node.flow, message)) {
            if (!event_spoke) {
                end_replaced(slot, now, Observed::reconcile);
                ++counts_.ended;
                ++counts_.discovered;
                open(message, FlowAction::seen, Observed::reconcile, now, now);
            }
            return;
        }
        kinship_.learn(slot, message);
        if (event_spoke) {
            merge_counters(node.flow, message);  // they only grow, and no event but DESTROY carries them
        } else {
            node.spoken_in = 0;
            const bool was_assured = node.flow.status.has(StatusBit::assured);
            Changes changes = merge(store_, slot, message, now);
            if (changes.has(Change::mark) || changes.has(Change::labels) || changes.has(Change::helper)) {
                say_update(slot, changes, was_assured, Observed::reconcile, now);
            } else {
                ++counts_.unchanged;
            }
        }
        say_active(slot, now);
    }

    // ---- openings

    /// Opens a flow as the message shows it, inserts it and says so.
    void open(const FlowMessage& message, FlowAction action, Observed observed, WallTime at, WallTime now) {
        const bool fits = store_.size() < settings_.capacity;
        const Slot slot = store_.insert(message.key, fits);
        Node& node = store_[slot];
        Flow& flow = node.flow;
        flow.uid = {settings_.run, ++uid_counter_};
        ++counters_.opened;
        if (observed == Observed::event) {
            node.spoken_in = epoch_;
        } else {
            node.seen_in = epoch_;
            flow.awaits_new = true;
        }
        if (action == FlowAction::start) {
            set_start(flow, at);
        } else if (!message.start) {
            flow.gaps.add(Gap::start_unseen);
        }
        if (message.start) {
            set_start(flow, *message.start);
        }
        take_first(store_, slot, message, at);
        kinship_.adopt(slot, message);
        if (!fits) {
            flow.gaps.add(Gap::table_full);
        }
        say(slot, {.action = action, .observed = observed, .at = at});
        if (message.master) {
            fulfil(slot, *message.master, at);
        }
        if (!fits) {
            refuse(slot, now);
        } else if (full_said_ && store_.size() < settings_.capacity / 10 * 9) {
            full_said_ = false;
        }
    }

    /// A flow that is met at its end: its opening is owed, its place in the table is not.
    Slot open_for_a_moment(const FlowMessage& message, WallTime at) {
        const Slot slot = store_.insert(message.key, false);
        Node& node = store_[slot];
        node.flow.uid = {settings_.run, ++uid_counter_};
        ++counters_.opened;
        if (message.start) {
            set_start(node.flow, *message.start);
        } else {
            node.flow.gaps.add(Gap::start_unseen);
        }
        node.flow.gaps.add(Gap::updates_lost);
        take_first(store_, slot, message, at);
        merge_counters(node.flow, message);
        say(slot, {.action = FlowAction::seen, .observed = Observed::event, .at = at});
        return slot;
    }

    void refuse(Slot slot, WallTime now) {
        store_.erase(slot, false);
        ++counters_.refused;
        if (!full_said_) {
            full_said_ = true;
            receiver_.receive(MonitorEvent{
                now, MonitorWarning{"table-full", "the flow table is full at " +
                                                      std::to_string(settings_.capacity) +
                                                      " flows: further flows are written but not remembered "
                                                      "([table] capacity raises the limit)"}});
        }
    }

    void fulfil(Slot child, const Tuple& master, WallTime at) {
        if (expectations_.empty()) {
            return;
        }
        if (const auto awaited = expectations_.fulfil(master, store_[child].flow.key.original); awaited) {
            const FlowView view = store_.view(child);
            say(ExpectationAction::fulfilled, awaited->expectation,
                view.lineage != nullptr ? *view.lineage : awaited->lineage, view.flow->uid, at);
        }
    }

    // ---- ends

    void end_replaced(Slot slot, WallTime at, Observed observed) {
        ++counters_.replaced;
        end_unseen(slot, EndReason::replaced, at, observed);
    }

    void vanish(Slot slot, WallTime now) {
        ++counts_.ended;
        end_unseen(slot, EndReason::vanished, now, Observed::reconcile);
    }

    /// Ends a flow whose DESTROY did not come: it was alive when the kernel last spoke of it, or when the
    /// reconcile before this one began.
    void end_unseen(Slot slot, EndReason reason, WallTime now, Observed observed) {
        Flow& flow = store_[slot].flow;
        flow.gaps.add(Gap::end_time_unknown);
        const WallTime alive = std::min(std::max(flow.last_seen, confirmed_), now);
        finish(slot, observed, now,
               {.reason = reason, .outcome = outcome(flow), .window = TimeWindow{alive, now}}, true);
    }

    void finish(Slot slot, Observed observed, WallTime at, const FlowEnd& end, bool indexed) {
        const Node& node = store_[slot];
        say(slot, {.action = FlowAction::end,
                   .observed = observed,
                   .at = at,
                   .delta = delta_of(node, at),
                   .end = end});
        ++counters_.ended;
        if (reconciling_) {
            (end.reason == EndReason::vanished ? vanished_ : tombstones_).add(node.flow);
        }
        store_.erase(slot, indexed);
    }

    void settle_deferred(WallTime now) {
        const std::vector<FlowMessage> deferred = std::exchange(deferred_, {});
        for (const FlowMessage& message : deferred) {
            if (!tombstones_.contain(message)) {
                merge_dump(message, now);
            }
        }
    }

    void end_reconcile() {
        reconciling_ = false;
        tombstones_.clear();
        initial_ = false;
    }

    // ---- saying

    void say(Slot slot, FlowEvent event) {
        Flow& flow = store_[slot].flow;
        const bool lived_through_loss = flow.uid.counter < lossless_from_ || flow.uid.run != settings_.run;
        if (lossless_from_ != 0 && lived_through_loss) {
            flow.gaps.add(Gap::updates_lost);
        }
        event.view = store_.view(slot);
        receiver_.receive(event);
    }

    void say(ExpectationAction action, const ExpectationMessage& expectation, const Lineage& lineage,
             FlowUid child, WallTime at) {
        receiver_.receive(ExpectationEvent{
            .action = action, .at = at, .expectation = &expectation, .lineage = lineage, .child = child});
    }

    void say_update(Slot slot, Changes changes, bool was_assured, Observed observed, WallTime at) {
        if (!changes.any()) {
            return;
        }
        say(slot, {.action = changes.has(Change::mark) ? FlowAction::mark_changed : FlowAction::update,
                   .observed = observed,
                   .at = at,
                   .changed = changes,
                   .newly_assured = !was_assured && store_[slot].flow.status.has(StatusBit::assured)});
    }

    /// The interim record of a long-lived flow: a dump is what brings its counters, so each dump is the
    /// occasion.
    void say_active(Slot slot, WallTime now) {
        if (!settings_.active_interval) {
            return;
        }
        Node& node = store_[slot];
        const Flow& flow = node.flow;
        const FlowStore::Interim* last = store_.find_interim(node);
        const WallTime since_when = last != nullptr  ? last->at
                                    : flow.has_start ? flow.started
                                                     : flow.last_seen;
        if (now - since_when < *settings_.active_interval) {
            return;
        }
        say(slot, {.action = FlowAction::active,
                   .observed = Observed::dump,
                   .at = now,
                   .delta = delta_of(node, now)});
        store_.interim(node) = {.at = now, .original = flow.original_counters, .reply = flow.reply_counters};
    }

    /// Since the flow's last interim record, or since its start where there was none.
    std::optional<CounterDelta> delta_of(const Node& node, WallTime now) const {
        const Flow& flow = node.flow;
        const FlowStore::Interim* last = store_.find_interim(node);
        if (!settings_.active_interval || !flow.has_counters || (last == nullptr && !flow.has_start)) {
            return std::nullopt;
        }
        if (last == nullptr) {
            return CounterDelta{flow.original_counters, flow.reply_counters, now - flow.started};
        }
        return CounterDelta{counted_since(last->original, flow.original_counters),
                            counted_since(last->reply, flow.reply_counters), now - last->at};
    }

    Observed counts_observed() const {
        return initial_ || !reconciling_ ? Observed::dump : Observed::reconcile;
    }

    FlowTableSettings settings_;
    EventReceiver& receiver_;
    FlowStore store_;
    Kinship kinship_{store_};
    OpenExpectations expectations_;
    std::uint64_t uid_counter_ = 0;
    std::uint64_t lossless_from_ =
        0;  ///< the first uid counter that was given after the last loss; 0: no loss so far
    FlowTableCounters counters_;
    bool full_said_ = false;

    bool reconciling_ = false;
    bool initial_ = true;  ///< no dump was taken to its end yet
    std::uint16_t epoch_ = 1;
    WallTime begun_{};
    WallTime confirmed_{};  ///< what the last whole dump showed was alive then
    std::size_t sweep_at_ = 0;
    ReconcileCounts counts_;
    Tombstones tombstones_;
    Tombstones vanished_;  ///< what the last sweep ended: the kernel may have held its DESTROY back
    std::vector<FlowMessage> deferred_;
};

FlowTable::FlowTable(FlowTableSettings settings, EventReceiver& receiver)
    : model_(std::make_unique<Model>(settings, settings.hash_seed ? *settings.hash_seed : random_seed(),
                                     receiver)) {}
FlowTable::~FlowTable() = default;

void FlowTable::apply(const FlowMessage& message, WallTime now) {
    model_->apply(message, now);
}
void FlowTable::apply(const ExpectationMessage& message, WallTime now) {
    model_->apply(message, now);
}
void FlowTable::tick(WallTime now) {
    model_->tick(now);
}
void FlowTable::begin_reconcile(WallTime now) {
    model_->begin_reconcile(now);
}
bool FlowTable::reconciling() const {
    return model_->reconciling();
}
bool FlowTable::finish_reconcile(WallTime now, std::size_t slots) {
    return model_->finish_reconcile(now, slots);
}
void FlowTable::abandon_reconcile(WallTime now) {
    model_->abandon_reconcile(now);
}
ReconcileCounts FlowTable::reconcile_counts() const {
    return model_->counts();
}
void FlowTable::note_rejected(const FlowKey& key) {
    model_->note_rejected(key);
}
void FlowTable::note_loss() {
    model_->note_loss();
}
std::size_t FlowTable::size() const {
    return model_->store().size();
}
std::size_t FlowTable::capacity() const {
    return model_->settings().capacity;
}
std::size_t FlowTable::memory_bytes() const {
    return model_->store().memory_bytes();
}
FlowTableCounters FlowTable::counters() const {
    return model_->counters();
}
void FlowTable::set_active_interval(std::optional<nanoseconds> interval) {
    model_->settings().active_interval = interval;
}

std::uint64_t FlowTable::hash(const FlowKey& key) const {
    return model_->store().hash(key);
}
void FlowTable::fetch_place(std::uint64_t hash) const {
    model_->store().fetch_place(hash);
}
void FlowTable::fetch_flow(std::uint64_t hash) const {
    model_->store().fetch(hash);
}

std::optional<FlowView> FlowTable::find(const FlowKey& key) const {
    const Slot slot = model_->store().find(key);
    return slot == none ? std::nullopt : std::optional(model_->store().view(slot));
}

bool FlowTable::restore(const FlowRecord& record) {
    return model_->restore(record);
}
void FlowTable::relink() {
    model_->relink();
}
void FlowTable::clear() {
    model_->clear();
}

std::size_t FlowTable::visit(std::size_t from, std::size_t places,
                             const std::function<void(const FlowView&)>& visitor) const {
    const FlowStore& store = model_->store();
    const std::size_t end = std::min(from + places, store.slots());
    for (std::size_t slot = from; slot < end; ++slot) {
        if (store.contains(static_cast<Slot>(slot))) {
            visitor(store.view(static_cast<Slot>(slot)));
        }
    }
    return end < store.slots() ? end : 0;
}

}  // namespace flowkin
