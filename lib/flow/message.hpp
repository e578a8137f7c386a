// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "flow/flow.hpp"

namespace flowkin {

enum class FlowMessageKind : std::uint8_t {
    new_flow,  ///< IPCTNL_MSG_CT_NEW with NLM_F_CREATE
    update,    ///< IPCTNL_MSG_CT_NEW without
    destroy,   ///< IPCTNL_MSG_CT_DELETE
    dump,      ///< an answer to a dump request (NLM_F_MULTI)
};

/// What the kernel said of a flow in one message. An absent attribute is an empty optional, never zero; but
/// the kernel leaves CTA_MARK out where the mark is 0 (ctnetlink_dump_mark in nf_conntrack_netlink.c), so
/// `mark` always has its value.
struct FlowMessage {
    FlowMessageKind kind = FlowMessageKind::new_flow;
    std::uint32_t port_id = 0;  ///< nlmsg_pid: 0 for packets and timeouts, else who asked for it by netlink
    FlowKey key;
    Tuple reply;
    Mark mark = 0;
    std::optional<KernelFlowId> id;
    std::optional<Status> status;
    std::optional<std::uint32_t> timeout_s;
    std::optional<std::uint8_t> protocol_state;  ///< TCP, SCTP or DCCP, by key.original.protocol
    std::optional<HelperName> helper;
    std::optional<Labels> labels;
    std::optional<Tuple> master;
    std::optional<Counters> original_counters;
    std::optional<Counters> reply_counters;
    std::optional<WallTime> start;       ///< CTA_TIMESTAMP_START
    std::optional<WallTime> stop;        ///< CTA_TIMESTAMP_STOP
    std::optional<WallTime> event_time;  ///< CTA_TIMESTAMP_EVENT
};

enum class ExpectationMessageKind : std::uint8_t { created, destroyed, dump };

/// What the kernel said of an expectation: a helper awaits a flow that matches `expected` under `mask`.
struct ExpectationMessage {
    ExpectationMessageKind kind = ExpectationMessageKind::created;
    std::uint32_t port_id = 0;
    Tuple expected;
    Tuple mask;  ///< all ones where it must match, all zeros where anything does; protocol is not masked
    Tuple master;
    Zone zone;
    std::uint32_t id = 0;  ///< CTA_EXPECT_ID, host order
    std::optional<std::uint32_t> timeout_s;
    std::optional<std::uint32_t> flags;  ///< NF_CT_EXPECT_PERMANENT 1, _INACTIVE 2, _USERSPACE 4
    std::optional<std::uint32_t> expectation_class;
    std::optional<HelperName> helper;
};

}  // namespace flowkin
