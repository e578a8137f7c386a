// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/conntrack_message.hpp"

#include <limits>

#include "netlink/tuple_attribute.hpp"

namespace flowkin::wire {
namespace {

/// linux/netfilter/nfnetlink_conntrack.h has it since Linux 6.12.
constexpr std::uint16_t cta_timestamp_event = 27;

/// A stamp of 0 was never set, one above 2^63 no clock gives: both say nothing.
Check read_stamp(Bytes payload, std::optional<WallTime>& stamp) {
    std::uint64_t since_epoch_ns = 0;
    if (const Check fault = read(payload, since_epoch_ns)) {
        return fault;
    }
    if (since_epoch_ns != 0 && since_epoch_ns <= std::numeric_limits<std::int64_t>::max()) {
        stamp = WallTime(nanoseconds(since_epoch_ns));
    }
    return {};
}

Check read_stamps(Bytes payload, FlowMessage& message) {
    return for_each_attribute(payload, [&](const Attribute& attribute) -> Check {
        switch (attribute.type) {
            case CTA_TIMESTAMP_START:
                return read_stamp(attribute.payload, message.start);
            case CTA_TIMESTAMP_STOP:
                return read_stamp(attribute.payload, message.stop);
            default:
                return {};
        }
    });
}

Check read_counter(Bytes payload, std::optional<Counters>& counters, std::uint64_t Counters::*counter) {
    if (!counters) {
        counters.emplace();
    }
    return read(payload, (*counters).*counter);
}

/// Kernels before 2.6.40 may count in 32 bits.
Check read_counter32(Bytes payload, std::optional<Counters>& counters, std::uint64_t Counters::*counter) {
    std::uint32_t value = 0;
    const Check fault = read(payload, value);
    if (!counters) {
        counters.emplace();
    }
    (*counters).*counter = value;
    return fault;
}

Check read_counters(Bytes payload, std::optional<Counters>& counters) {
    return for_each_attribute(payload, [&](const Attribute& attribute) -> Check {
        switch (attribute.type) {
            case CTA_COUNTERS_PACKETS:
                return read_counter(attribute.payload, counters, &Counters::packets);
            case CTA_COUNTERS_BYTES:
                return read_counter(attribute.payload, counters, &Counters::bytes);
            case CTA_COUNTERS32_PACKETS:
                return read_counter32(attribute.payload, counters, &Counters::packets);
            case CTA_COUNTERS32_BYTES:
                return read_counter32(attribute.payload, counters, &Counters::bytes);
            default:
                return {};
        }
    });
}

/// The state has the same number in each protocol's own attribute: CTA_PROTOINFO_{TCP,SCTP,DCCP}_STATE.
Check read_protocol_state(Bytes payload, std::optional<std::uint8_t>& state) {
    constexpr std::uint16_t state_attribute = CTA_PROTOINFO_TCP_STATE;
    static_assert(state_attribute == CTA_PROTOINFO_SCTP_STATE && state_attribute == CTA_PROTOINFO_DCCP_STATE);
    return for_each_attribute(payload, [&](const Attribute& protocol) -> Check {
        switch (protocol.type) {
            case CTA_PROTOINFO_TCP:
            case CTA_PROTOINFO_SCTP:
            case CTA_PROTOINFO_DCCP:
                return for_each_attribute(protocol.payload, [&](const Attribute& attribute) -> Check {
                    return attribute.type == state_attribute ? read(attribute.payload, state) : Check{};
                });
            default:
                return {};
        }
    });
}

Check read_helper(Bytes payload, std::optional<HelperName>& helper) {
    return for_each_attribute(payload, [&](const Attribute& attribute) -> Check {
        return attribute.type == CTA_HELP_NAME ? read(attribute.payload, helper) : Check{};
    });
}

/// Kernels before 4.8 send only as many words as are in use.
Check read_labels(Bytes payload, std::optional<Labels>& labels) {
    if (payload.size() > sizeof(Labels::bytes) || payload.size() % 4 != 0) {
        return DecodeFault::wrong_size;
    }
    labels.emplace();
    std::copy(payload.begin(), payload.end(), labels->bytes.begin());
    return {};
}

Check read_status(Bytes payload, std::optional<Status>& status) {
    status.emplace();
    return read(payload, status->bits);
}

Check read_master(Bytes payload, Family family, std::optional<Tuple>& master) {
    return read_tuple(payload, family, master.emplace());
}

}  // namespace

Check read_flow(Bytes attributes, Family family, FlowMessage& message) {
    bool has_original = false;
    bool has_reply = false;
    std::optional<std::uint16_t> zone;
    std::optional<std::uint16_t> original_zone;
    std::optional<std::uint16_t> reply_zone;
    const Check fault = for_each_attribute(attributes, [&](const Attribute& attribute) -> Check {
        const Bytes payload = attribute.payload;
        switch (attribute.type) {
            case CTA_TUPLE_ORIG:
                has_original = true;
                return read_tuple(payload, family, message.key.original, original_zone);
            case CTA_TUPLE_REPLY:
                has_reply = true;
                return read_tuple(payload, family, message.reply, reply_zone);
            case CTA_TUPLE_MASTER:
                return read_master(payload, family, message.master);
            case CTA_ZONE:
                return read(payload, zone);
            case CTA_ID:
                return read(payload, message.id);
            case CTA_STATUS:
                return read_status(payload, message.status);
            case CTA_TIMEOUT:
                return read(payload, message.timeout_s);
            case CTA_MARK:
                return read(payload, message.mark);
            case CTA_PROTOINFO:
                return read_protocol_state(payload, message.protocol_state);
            case CTA_HELP:
                return read_helper(payload, message.helper);
            case CTA_LABELS:
                return read_labels(payload, message.labels);
            case CTA_COUNTERS_ORIG:
                return read_counters(payload, message.original_counters);
            case CTA_COUNTERS_REPLY:
                return read_counters(payload, message.reply_counters);
            case CTA_TIMESTAMP:
                return read_stamps(payload, message);
            case cta_timestamp_event:
                return read_stamp(payload, message.event_time);
            default:
                return {};
        }
    });
    if (fault) {
        return fault;
    }
    if (!has_original) {
        return DecodeFault::missing_tuple;
    }
    if (!has_reply) {
        message.reply = mirror(message.key.original);
    }
    if (zone) {
        message.key.zone = {*zone, ZoneDirection::both};
    } else if (original_zone) {
        message.key.zone = {*original_zone, ZoneDirection::original};
    } else if (reply_zone) {
        message.key.zone = {*reply_zone, ZoneDirection::reply};
    }
    return {};
}

}  // namespace flowkin::wire
