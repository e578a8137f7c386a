// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow/packet_watch.hpp"

#include <algorithm>

namespace flowkin {
namespace {

constexpr PacketDirection opposite(PacketDirection direction) {
    return direction == PacketDirection::original ? PacketDirection::reply : PacketDirection::original;
}

/// The tuple by which the packet is joined with its flow.
const PacketHeaders& joining_headers(const PacketMessage& packet) {
    return packet.about ? *packet.about : packet.headers;
}

std::optional<KernelFlowId> section_id(const PacketMessage& packet) {
    return packet.flow ? packet.flow->id : std::nullopt;
}

}  // namespace

void PacketWatch::apply(const PacketMessage& packet, WallTime now) {
    if (packet.sequence) {
        count_missing({packet.group, *packet.sequence});
    }
    sections_ = sections_ || packet.flow;
    const WallTime at = packet.received.value_or(now);
    if (is_to_be_held(packet)) {
        if (held_.size() == most_held) {
            let_go();
        }
        if (spare_.empty()) {
            spare_.emplace_back();
        }
        spare_.front() = {packet, at};
        held_.splice(held_.end(), spare_, spare_.begin());
        return;
    }
    const auto refused = find_refused(packet);
    const Join joined = join(packet);
    const bool answers =
        refused != held_.end() && classify(packet, setting(joined, true)) == PacketAction::rejected;
    say(packet, at, answers ? &*refused : nullptr, joined);
    if (answers) {
        spare_.splice(spare_.end(), held_, refused);
    }
}

PacketSetting PacketWatch::setting(const Join& join, bool answers_refused) const {
    return {.kernel_sends_sections = sections_,
            .flow_lives = join.confirmed,
            .flow_was_answered = join.answered,
            .answers_refused = answers_refused};
}

void PacketWatch::tick(WallTime now) {
    while (!held_.empty() && now - held_.front().at >= longest_held) {
        let_go();
    }
}

void PacketWatch::let_all_go() {
    while (!held_.empty()) {
        let_go();
    }
}

/// The oldest held packet was not answered: it is a record of its own. Its flow may have come to be
/// meanwhile.
void PacketWatch::let_go() {
    spare_.splice(spare_.end(), held_, held_.begin());
    const Held& oldest = spare_.back();
    say(oldest.packet, oldest.at, nullptr, join(oldest.packet));
}

void PacketWatch::count_missing(const PacketNumber& packet) {
    const auto known = std::find_if(sequences_.begin(), sequences_.end(),
                                    [&](const GroupSequence& of) { return of.group == packet.group; });
    if (known == sequences_.end()) {
        sequences_.push_back({packet.group, packet.sequence + 1});
        return;
    }
    // A number that goes back is that of a group which was bound anew.
    constexpr std::uint32_t backwards = 1U << 31U;
    const std::uint32_t gap = packet.sequence - known->next;
    missing_ += gap < backwards ? gap : 0;
    known->next = packet.sequence + 1;
}

PacketWatch::Join PacketWatch::join(const PacketMessage& packet) {
    return packet.flow ? join_by_section(packet) : join_by_tuple(packet);
}

PacketWatch::Join PacketWatch::join_by_section(const PacketMessage& packet) const {
    const FlowMessage& flow = *packet.flow;
    Join join{.id = flow.id, .zone = flow.key.zone, .mark = flow.mark};
    if (flow.id) {
        join.id_from = FlowIdSource::ct;
    }
    if (packet.info) {
        join.direction = direction_of(*packet.info);
    }
    join.confirmed = flow.status && flow.status->has(StatusBit::confirmed);
    join.answered = flow.status && flow.status->has(StatusBit::seen_reply);
    const auto living = table_.find(flow.key);
    if (living && flow.id && living->flow->has_kernel_id && living->flow->kernel_id == *flow.id) {
        join.key = flow.key;
        join.uid = living->flow->uid;
    }
    return join;
}

PacketWatch::Join PacketWatch::join_by_tuple(const PacketMessage& packet) {
    const PacketHeaders& headers = joining_headers(packet);
    Join join;
    std::optional<FlowView> living;
    FlowKey key;
    if (headers.whole) {
        auto direction = PacketDirection::original;
        key.original = headers.tuple;
        living = table_.find(key);
        if (!living) {
            direction = PacketDirection::reply;
            key.original = mirror(headers.tuple);
            living = table_.find(key);
        }
        if (living) {
            join.direction = packet.about ? opposite(direction) : direction;
        }
    }
    const bool has_id = living && living->flow->has_kernel_id;
    if (has_id && packet.mark != 0) {
        marked_id_.learn(packet.mark, living->flow->kernel_id);
    }
    if (const auto marked = marked_id_.id(packet.mark)) {
        join.id = marked;
        join.id_from = FlowIdSource::mark;
        if (has_id && living->flow->kernel_id != *marked) {
            living.reset();  // of another life of this tuple
            join.direction.reset();
        }
    } else if (living) {
        join.id_from = FlowIdSource::tuple;
        if (has_id) {
            join.id = living->flow->kernel_id;
        }
    }
    if (living) {
        join.key = key;
        join.uid = living->flow->uid;
        join.mark = living->flow->mark;
        join.confirmed = true;
        join.answered = living->flow->status.has(StatusBit::seen_reply);
    }
    return join;
}

/// What a rule may refuse: a rule that says so comes next, or its flow is not confirmed so far. (Before
/// routing nothing is refused with an answer.)
bool PacketWatch::is_to_be_held(const PacketMessage& packet) {
    if (!packet.headers.whole || packet.about || packet.hook == PacketHook::prerouting) {
        return false;
    }
    const bool first = packet.info == ConntrackInfo::new_flow && packet.flow && packet.flow->status &&
                       !packet.flow->status->has(StatusBit::confirmed);
    return first || prefix_class(packet.prefix.view()) == PrefixClass::refused;
}

/// The latest one that `answer` may answer: the same tuple, and where the kernel gave ids, the same id.
std::list<PacketWatch::Held>::iterator PacketWatch::find_refused(const PacketMessage& answer) {
    if (held_.empty() || !joining_headers(answer).whole) {
        return held_.end();
    }
    const auto& flags = answer.headers.tcp_flags;
    if (!answer.about && !(flags && flags->has(TcpFlag::rst))) {
        return held_.end();
    }
    const Tuple refused = answer.about ? answer.about->tuple : mirror(answer.headers.tuple);
    const auto id = section_id(answer);
    const auto found = std::find_if(held_.rbegin(), held_.rend(), [&](const Held& held) {
        const auto held_id = section_id(held.packet);
        return held.packet.headers.tuple == refused && (!id || !held_id || *id == *held_id);
    });
    return found == held_.rend() ? held_.end() : std::prev(found.base());
}

void PacketWatch::say(const PacketMessage& packet, WallTime at, const Held* refused, const Join& join) {
    PacketEvent event;
    event.action = classify(packet, setting(join, refused != nullptr));
    event.at = at;
    event.packet = &packet;
    event.in = name(packet.in);
    event.out = name(packet.out);
    event.state = state_of(packet, event.action);
    event.direction = join.direction;
    event.uid = join.uid;
    event.id = join.id;
    event.id_from = join.id_from;
    event.zone = join.zone;
    event.mark = join.mark;
    if (event.action == PacketAction::rejected) {
        // While the table is compared with the kernel's, a flow that is not in it may yet come.
        event.unconfirmed = packet.flow ? !join.confirmed
                                        : !join.key && joining_headers(packet).whole && !table_.reconciling();
        if (event.unconfirmed) {
            event.direction = PacketDirection::reply;  // to its first packet, and the only one there ever was
        }
        if (join.key) {
            table_.note_rejected(*join.key);
        }
    }
    if (refused != nullptr) {
        event.refused =
            RefusedPacket{&refused->packet, refused->at, name(refused->packet.in), name(refused->packet.out)};
    }
    receiver_.receive(event);
}

}  // namespace flowkin
