// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <string_view>
#include <vector>

#include "flow/event.hpp"
#include "flow/flow_table.hpp"
#include "flow/marked_flow_id.hpp"
#include "flow/packet_class.hpp"
#include "flow/packet_number.hpp"

namespace flowkin {

/// The logged packets: what each is, to which flow it belongs, and which answers which.
///
/// The model:
/// - A packet is joined with its flow by id and tuple, both: the id from the kernel's conntrack section or
/// from
///   the packet's mark, the tuple being the packet's own or, of an ICMP error, that of the packet in it. An
///   id alone is never enough, since it is neither unique nor lasting. The tuple alone is, where the kernel
///   gives no id.
/// - The section names the flow's original tuple and zone. Without it a packet is looked for in zone 0, and
/// not
///   beyond a translated destination.
/// - A flow that a rule refuses at its first packet has no conntrack event: its packet-rejected record is all
///   there is. Where the refused packet is logged as well, it is held until its answer comes, for two seconds
///   at most, and the two make one record.
class PacketWatch {
  public:
    /// The name of an interface by its index; empty where it is not known.
    using InterfaceName = std::function<std::string_view(std::uint32_t)>;

    PacketWatch(FlowTable& table, EventReceiver& receiver) : table_(table), receiver_(receiver) {}

    void apply(const PacketMessage& packet, WallTime now);

    /// A packet that is not looked at. It is not missing all the same.
    void pass_over(const PacketNumber& packet) { count_missing(packet); }

    /// Lets go of what was held long enough: call about once a second.
    void tick(WallTime now);

    /// Nothing comes any more.
    void let_all_go();

    /// The kernel took NFULNL_CFG_F_CONNTRACK, so a packet without a conntrack section belongs to no flow.
    /// The first packet that has one says so, too.
    void expect_sections() { sections_ = true; }

    void name_interfaces(InterfaceName name) { interface_name_ = std::move(name); }

    /// Packets that are missing by the kernel's own count (NFULA_SEQ).
    std::uint64_t missing() const { return missing_; }

  private:
    struct Held {
        PacketMessage packet;
        WallTime at{};
    };
    /// What is known of a packet's flow.
    struct Join {
        std::optional<FlowKey> key{};  ///< of the living flow
        FlowUid uid{};
        std::optional<KernelFlowId> id{};
        std::optional<FlowIdSource> id_from{};
        std::optional<PacketDirection> direction{};
        Zone zone{};
        std::optional<Mark> mark{};
        bool confirmed = false;
        bool answered = false;
    };

    static constexpr std::size_t most_held = 256;
    static constexpr nanoseconds longest_held = seconds(2);

    PacketSetting setting(const Join& join, bool answers_refused) const;
    void count_missing(const PacketNumber& packet);
    Join join(const PacketMessage& packet);
    Join join_by_section(const PacketMessage& packet) const;
    Join join_by_tuple(const PacketMessage& packet);
    static bool is_to_be_held(const PacketMessage& packet);
    std::list<Held>::iterator find_refused(const PacketMessage& answer);
    void say(const PacketMessage& packet, WallTime at, const Held* refused, const Join& join);
    void let_go();
    std::string_view name(std::uint32_t index) const {
        return index != 0 && interface_name_ ? interface_name_(index) : std::string_view();
    }

    FlowTable& table_;
    EventReceiver& receiver_;
    InterfaceName interface_name_;
    MarkedFlowId marked_id_;
    bool sections_ = false;
    std::list<Held> held_;  ///< the oldest first
    std::list<Held> spare_;

    struct GroupSequence {
        std::uint16_t group = 0;
        std::uint32_t next = 0;
    };
    std::vector<GroupSequence> sequences_;
    std::uint64_t missing_ = 0;
};

}  // namespace flowkin
