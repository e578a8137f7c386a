// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.hpp"
#include "flow/tuple.hpp"

namespace flowkin {

/// CTA_ID in host order, as `conntrack -o id` prints it. A check beside the key, never a key.
using KernelFlowId = std::uint32_t;

/// A connmark, CTA_MARK in host order.
using Mark = std::uint32_t;

/// Which run of flowkin this is: 64 random bits, 0 in a replay.
using RunId = std::uint64_t;

/// Ours: one for each incarnation of a flow, unique over all runs. The join key of the log.
struct FlowUid {
    RunId run = 0;
    std::uint64_t counter = 0;  ///< from 1; 0 is no uid
    explicit operator bool() const { return counter != 0; }
    friend bool operator==(const FlowUid&, const FlowUid&) = default;
};

/// The bits of enum ip_conntrack_status (linux/netfilter/nf_conntrack_common.h).
enum class StatusBit : std::uint8_t {
    expected = 0,
    seen_reply = 1,
    assured = 2,
    confirmed = 3,
    snat = 4,
    dnat = 5,
    seq_adjust = 6,
    snat_done = 7,
    dnat_done = 8,
    dying = 9,
    fixed_timeout = 10,
    template_ = 11,
    untracked = 12,
    helper = 13,
    offload = 14,
    hw_offload = 15,
};

struct Status {
    std::uint32_t bits = 0;
    bool has(StatusBit bit) const { return (bits >> static_cast<unsigned>(bit) & 1U) != 0; }
    friend bool operator==(const Status&, const Status&) = default;
};

/// enum tcp_conntrack (linux/netfilter/nf_conntrack_tcp.h). 0 also means: not known.
enum class TcpState : std::uint8_t {
    none = 0,
    syn_sent = 1,
    syn_recv = 2,
    established = 3,
    fin_wait = 4,
    close_wait = 5,
    last_ack = 6,
    time_wait = 7,
    close = 8,
    syn_sent2 = 9,
};

struct Counters {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    friend bool operator==(const Counters&, const Counters&) = default;
};

/// Connlabels: 128 bits, bit n of byte n / 8.
struct Labels {
    std::array<std::uint8_t, 16> bytes{};
    bool any() const { return *this != Labels{}; }
    bool has(unsigned bit) const { return (bytes[bit / 8] >> (bit % 8) & 1U) != 0; }
    friend bool operator==(const Labels&, const Labels&) = default;
};

/// A short string from the kernel, of any bytes, that takes no memory of its own. What is longer is cut.
template <std::uint8_t most>
class ShortText {
  public:
    static constexpr std::size_t longest = most;

    ShortText() = default;
    explicit ShortText(std::string_view text)
        : length_(static_cast<std::uint8_t>(std::min(text.size(), longest))) {
        std::copy_n(text.data(), length_, bytes_.data());
    }
    std::string_view view() const { return {bytes_.data(), length_}; }
    bool empty() const { return length_ == 0; }
    friend bool operator==(const ShortText& a, const ShortText& b) { return a.view() == b.view(); }

  private:
    std::array<char, longest> bytes_{};
    std::uint8_t length_ = 0;
};

/// A conntrack helper's name: at most 15 bytes (NF_CT_HELPER_NAME_LEN with its NUL), of any content.
using HelperName = ShortText<15>;

/// Where a flow's mark comes from.
enum class MarkOrigin : std::uint8_t {
    none,       ///< the mark is 0 and was never set
    inherited,  ///< equals the parent's mark at birth, non-zero
    rule,       ///< set by a rule or a tool
    diverged,   ///< was inherited; since then it or the parent's changed
};

/// What a record cannot know, and why.
enum class Gap : std::uint8_t {
    start_unseen,      ///< its NEW was not seen
    updates_lost,      ///< events of it may have been lost
    accounting_off,    ///< the kernel sent no counters for it
    timestamps_off,    ///< the kernel sent no timestamps for it: times are those of arrival
    counters_reset,    ///< somebody read and zeroed its counters
    end_time_unknown,  ///< when it ended is known only as a window
    table_full,        ///< flowkin's table was full: no later record of this flow bears this uid
};

struct Gaps {
    std::uint8_t bits = 0;
    bool has(Gap gap) const { return (bits >> static_cast<unsigned>(gap) & 1U) != 0; }
    bool any() const { return bits != 0; }
    void add(Gap gap) { bits = static_cast<std::uint8_t>(bits | 1U << static_cast<unsigned>(gap)); }
    void remove(Gap gap) { bits = static_cast<std::uint8_t>(bits & ~(1U << static_cast<unsigned>(gap))); }
    friend bool operator==(const Gaps&, const Gaps&) = default;
};

/// What we know of one incarnation of a flow. What few flows have stands beside it: see FlowView.
/// Kept small (a million of these is an ordinary day): what is not known is marked as each member says.
struct Flow {
    FlowKey key;
    MarkOrigin mark_origin = MarkOrigin::none;
    std::uint8_t protocol_state = 0;  ///< TcpState, or SCTP's or DCCP's own; 0: not known
    KernelFlowId kernel_id = 0;       ///< meaningful where has_kernel_id
    FlowUid uid;
    WallTime started{};    ///< the kernel's start stamp, else when its NEW came; meaningful where has_start
    WallTime last_seen{};  ///< when the kernel last spoke of it
    Counters original_counters;  ///< the last known; meaningful where has_counters
    Counters reply_counters;
    Mark mark = 0;
    Mark mark_previous = 0;  ///< meaningful where mark_changes is not 0
    std::uint32_t mark_changes = 0;
    Status status;
    std::uint32_t timeout_s = 0;  ///< as the kernel last said; meaningful where has_timeout
    Gaps gaps;
    bool has_kernel_id : 1 = false;
    bool has_start : 1 = false;
    bool has_counters : 1 = false;
    bool has_timeout : 1 = false;
    bool rejected : 1 = false;    ///< a REJECT rule answered it
    bool awaits_new : 1 = false;  ///< a dump was quicker than its NEW, which may still come

    TcpState tcp_state() const { return static_cast<TcpState>(protocol_state); }
};

/// Who a flow descends from, fixed at its first sight. Where the parent was never met there is only its
/// tuple.
struct Lineage {
    FlowUid parent;                     ///< no uid: the parent is known by `parent_tuple` alone
    Tuple parent_tuple;                 ///< CTA_TUPLE_MASTER
    KernelFlowId parent_kernel_id = 0;  ///< meaningful where parent_has_kernel_id
    bool parent_has_kernel_id = false;
    HelperName parent_helper;  ///< empty: none known
    FlowUid root;              ///< only where `parent` is a uid
    std::uint32_t depth = 0;   ///< 1 for a child, 2 for a grandchild; 0 where the parent is not known
};

/// What helpers and rules attach to few flows.
struct Tags {
    HelperName helper;
    Labels labels;
};

/// The last marks a flow had, oldest first: kept from the first change on.
struct MarkHistory {
    struct Entry {
        Mark mark = 0;
        WallTime since{};
    };
    static constexpr std::size_t longest = 8;
    std::array<Entry, longest> entries{};
    std::uint8_t count = 0;

    void add(Entry entry) {
        if (count == longest) {
            std::copy(entries.begin() + 1, entries.end(), entries.begin());
            --count;
        }
        entries[count++] = entry;
    }
};

/// A flow with all that stands beside it. Points into the table: good until the next call on the table.
struct FlowView {
    const Flow* flow = nullptr;
    const Tuple* reply = nullptr;        ///< null: the mirror of the original (nothing translates it)
    const Lineage* lineage = nullptr;    ///< null: no parent
    const Tags* tags = nullptr;          ///< null: no helper, no labels
    const MarkHistory* marks = nullptr;  ///< null: its mark never changed
};

/// A flow with all that stands beside it, owned: as it is kept on disk.
struct FlowRecord {
    Flow flow;
    std::optional<Tuple> reply;
    std::optional<Lineage> lineage;
    std::optional<Tags> tags;
    std::optional<MarkHistory> marks;
};

}  // namespace flowkin
