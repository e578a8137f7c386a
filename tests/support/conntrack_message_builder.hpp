// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "flow/message.hpp"

/// Conntrack messages as the kernel writes them (ctnetlink_fill_info), made with libmnl: the way back from a
/// message to its bytes, for tests and benchmarks.
namespace flowkin::testing {

/// One netlink message of any content, attribute by attribute.
class MessageBuilder {
  public:
    MessageBuilder(unsigned subsystem, unsigned type, unsigned flags, unsigned family,
                   std::uint32_t port_id = 0) {
        header_->nlmsg_type = static_cast<std::uint16_t>(subsystem << 8 | type);
        header_->nlmsg_flags = static_cast<std::uint16_t>(flags);
        header_->nlmsg_pid = port_id;
        auto* message = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
        message->nfgen_family = static_cast<std::uint8_t>(family);
    }
    MessageBuilder(const MessageBuilder&) = delete;
    MessageBuilder& operator=(const MessageBuilder&) = delete;

    /// A group of NFLOG, which stands in the header.
    MessageBuilder& group(std::uint16_t number) {
        static_cast<nfgenmsg*>(mnl_nlmsg_get_payload(header_))->res_id = htobe16(number);
        return *this;
    }
    MessageBuilder& u8(unsigned type, std::uint8_t value) { return bytes(type, &value, sizeof value); }
    MessageBuilder& be16(unsigned type, std::uint16_t value) {
        const std::uint16_t network = htobe16(value);
        return bytes(type, &network, sizeof network);
    }
    MessageBuilder& be32(unsigned type, std::uint32_t value) {
        const std::uint32_t network = htobe32(value);
        return bytes(type, &network, sizeof network);
    }
    MessageBuilder& be64(unsigned type, std::uint64_t value) {
        const std::uint64_t network = htobe64(value);
        return bytes(type, &network, sizeof network);
    }
    MessageBuilder& string(unsigned type, const std::string& value) {
        return bytes(type, value.c_str(), value.size() + 1);
    }
    MessageBuilder& bytes(unsigned type, const void* value, std::size_t size) {
        mnl_attr_put(header_, static_cast<std::uint16_t>(type), size, value);
        return *this;
    }
    /// What `fill` adds stands within the attribute.
    template <class Fill>
    MessageBuilder& nested(unsigned type, Fill fill) {
        nlattr* start = mnl_attr_nest_start(header_, static_cast<std::uint16_t>(type));
        fill(*this);
        mnl_attr_nest_end(header_, start);
        return *this;
    }

    std::vector<std::uint8_t> datagram() const {
        return {buffer_.begin(), buffer_.begin() + header_->nlmsg_len};
    }

  private:
    std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(16'384);
    nlmsghdr* header_ = mnl_nlmsg_put_header(buffer_.data());
};

inline unsigned address_family(Family family) {
    return family == Family::ipv4 ? AF_INET : AF_INET6;
}

/// `zone`: the tuple's own, 0 for none.
inline void put_tuple(MessageBuilder& message, unsigned type, const Tuple& tuple, std::uint16_t zone = 0) {
    const bool ipv4 = tuple.family == Family::ipv4;
    const std::size_t address_bytes = ipv4 ? 4 : 16;
    message.nested(type, [&](MessageBuilder& outer) {
        outer.nested(CTA_TUPLE_IP, [&](MessageBuilder& ip) {
            ip.bytes(ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, tuple.source.bytes.data(), address_bytes);
            ip.bytes(ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, tuple.destination.bytes.data(), address_bytes);
        });
        outer.nested(CTA_TUPLE_PROTO, [&](MessageBuilder& protocol) {
            protocol.u8(CTA_PROTO_NUM, static_cast<std::uint8_t>(tuple.protocol));
            if (tuple.protocol == Protocol::icmp) {
                protocol.be16(CTA_PROTO_ICMP_ID, tuple.icmp().id);
                protocol.u8(CTA_PROTO_ICMP_TYPE, tuple.icmp().type);
                protocol.u8(CTA_PROTO_ICMP_CODE, tuple.icmp().code);
            } else if (tuple.protocol == Protocol::ipv6_icmp) {
                protocol.be16(CTA_PROTO_ICMPV6_ID, tuple.icmp().id);
                protocol.u8(CTA_PROTO_ICMPV6_TYPE, tuple.icmp().type);
                protocol.u8(CTA_PROTO_ICMPV6_CODE, tuple.icmp().code);
            } else if (has_ports(tuple.protocol) || tuple.protocol == Protocol::gre ||
                       tuple.source_port != 0 || tuple.destination_port != 0) {
                protocol.be16(CTA_PROTO_SRC_PORT, tuple.source_port);
                protocol.be16(CTA_PROTO_DST_PORT, tuple.destination_port);
            }
        });
        if (zone != 0) {
            outer.be16(CTA_TUPLE_ZONE, zone);
        }
    });
}

inline void put_counters(MessageBuilder& message, unsigned type, const Counters& counters) {
    message.nested(type, [&](MessageBuilder& inner) {
        inner.be64(CTA_COUNTERS_PACKETS, counters.packets);
        inner.be64(CTA_COUNTERS_BYTES, counters.bytes);
    });
}

/// What the kernel adds for TCP, SCTP and DCCP besides the state is there too, with any values.
inline void put_protocol_state(MessageBuilder& message, Protocol protocol, std::uint8_t state) {
    message.nested(CTA_PROTOINFO, [&](MessageBuilder& inner) {
        if (protocol == Protocol::sctp) {
            inner.nested(CTA_PROTOINFO_SCTP, [&](MessageBuilder& sctp) {
                sctp.u8(CTA_PROTOINFO_SCTP_STATE, state);
                sctp.be32(CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, 0x01020304);
                sctp.be32(CTA_PROTOINFO_SCTP_VTAG_REPLY, 0x05060708);
            });
        } else if (protocol == Protocol::dccp) {
            inner.nested(CTA_PROTOINFO_DCCP, [&](MessageBuilder& dccp) {
                dccp.u8(CTA_PROTOINFO_DCCP_STATE, state);
                dccp.u8(CTA_PROTOINFO_DCCP_ROLE, 0);
                dccp.be64(CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ, 77);
            });
        } else {
            const std::uint16_t flags = 0x0003;
            inner.nested(CTA_PROTOINFO_TCP, [&](MessageBuilder& tcp) {
                tcp.u8(CTA_PROTOINFO_TCP_STATE, state);
                tcp.u8(CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, 7);
                tcp.u8(CTA_PROTOINFO_TCP_WSCALE_REPLY, 7);
                tcp.bytes(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, &flags, sizeof flags);
                tcp.bytes(CTA_PROTOINFO_TCP_FLAGS_REPLY, &flags, sizeof flags);
            });
        }
    });
}

inline std::uint64_t nanoseconds_since_epoch(WallTime time) {
    return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

/// The tuples, the zone and the mark, as each message of a flow begins.
inline void put_key(MessageBuilder& message, const FlowKey& key, const Tuple& reply) {
    const auto zone_of = [&](ZoneDirection direction) {
        return key.zone.direction == direction ? key.zone.id : std::uint16_t{0};
    };
    put_tuple(message, CTA_TUPLE_ORIG, key.original, zone_of(ZoneDirection::original));
    put_tuple(message, CTA_TUPLE_REPLY, reply, zone_of(ZoneDirection::reply));
    if (zone_of(ZoneDirection::both) != 0) {
        message.be16(CTA_ZONE, key.zone.id);
    }
}

/// The kernel's event or dump message that says exactly `flow`.
inline std::vector<std::uint8_t> flow_datagram(const FlowMessage& flow) {
    unsigned flags = 0;
    if (flow.kind == FlowMessageKind::new_flow) {
        flags = NLM_F_CREATE | NLM_F_EXCL;
    } else if (flow.kind == FlowMessageKind::dump) {
        flags = NLM_F_MULTI;
    }
    MessageBuilder message(NFNL_SUBSYS_CTNETLINK,
                           flow.kind == FlowMessageKind::destroy ? IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_NEW,
                           flags, address_family(flow.key.original.family), flow.port_id);
    put_key(message, flow.key, flow.reply);
    if (flow.id) {
        message.be32(CTA_ID, *flow.id);
    }
    if (flow.status) {
        message.be32(CTA_STATUS, flow.status->bits);
    }
    if (flow.original_counters) {
        put_counters(message, CTA_COUNTERS_ORIG, *flow.original_counters);
    }
    if (flow.reply_counters) {
        put_counters(message, CTA_COUNTERS_REPLY, *flow.reply_counters);
    }
    if (flow.start || flow.stop) {
        message.nested(CTA_TIMESTAMP, [&](MessageBuilder& stamps) {
            if (flow.start) {
                stamps.be64(CTA_TIMESTAMP_START, nanoseconds_since_epoch(*flow.start));
            }
            if (flow.stop) {
                stamps.be64(CTA_TIMESTAMP_STOP, nanoseconds_since_epoch(*flow.stop));
            }
        });
    }
    if (flow.timeout_s) {
        message.be32(CTA_TIMEOUT, *flow.timeout_s);
    }
    if (flow.protocol_state) {
        put_protocol_state(message, flow.key.original.protocol, *flow.protocol_state);
    }
    if (flow.helper) {
        message.nested(CTA_HELP, [&](MessageBuilder& help) {
            help.string(CTA_HELP_NAME, std::string(flow.helper->view()));
        });
    }
    if (flow.master) {
        put_tuple(message, CTA_TUPLE_MASTER, *flow.master);
    }
    if (flow.mark != 0) {
        message.be32(CTA_MARK, flow.mark);
    }
    if (flow.labels) {
        message.bytes(CTA_LABELS, flow.labels->bytes.data(), flow.labels->bytes.size());
    }
    if (flow.event_time) {
        message.be64(27 /* CTA_TIMESTAMP_EVENT */, nanoseconds_since_epoch(*flow.event_time));
    }
    return message.datagram();
}

/// The kernel's event or dump message that says exactly `expectation`.
inline std::vector<std::uint8_t> expectation_datagram(const ExpectationMessage& expectation) {
    unsigned flags = 0;
    if (expectation.kind == ExpectationMessageKind::created) {
        flags = NLM_F_CREATE | NLM_F_EXCL;
    } else if (expectation.kind == ExpectationMessageKind::dump) {
        flags = NLM_F_MULTI;
    }
    MessageBuilder message(
        NFNL_SUBSYS_CTNETLINK_EXP,
        expectation.kind == ExpectationMessageKind::destroyed ? IPCTNL_MSG_EXP_DELETE : IPCTNL_MSG_EXP_NEW,
        flags, address_family(expectation.expected.family), expectation.port_id);
    put_tuple(message, CTA_EXPECT_TUPLE, expectation.expected);
    put_tuple(message, CTA_EXPECT_MASK, expectation.mask);
    put_tuple(message, CTA_EXPECT_MASTER, expectation.master);
    if (expectation.timeout_s) {
        message.be32(CTA_EXPECT_TIMEOUT, *expectation.timeout_s);
    }
    message.be32(CTA_EXPECT_ID, expectation.id);
    if (expectation.zone.id != 0) {
        message.be16(CTA_EXPECT_ZONE, expectation.zone.id);
    }
    if (expectation.flags) {
        message.be32(CTA_EXPECT_FLAGS, *expectation.flags);
    }
    if (expectation.expectation_class) {
        message.be32(CTA_EXPECT_CLASS, *expectation.expectation_class);
    }
    if (expectation.helper) {
        message.string(CTA_EXPECT_HELP_NAME, std::string(expectation.helper->view()));
    }
    return message.datagram();
}

/// A request that the kernel makes an entry of: its NEW then comes to whoever listens.
inline std::vector<std::uint8_t> create_request(const FlowKey& key, std::uint32_t timeout_s,
                                                std::uint32_t mark = 0) {
    MessageBuilder message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW,
                           NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, address_family(key.original.family));
    put_key(message, key, mirror(key.original));
    message.be32(CTA_TIMEOUT, timeout_s);
    if (mark != 0) {
        message.be32(CTA_MARK, mark);
    }
    return message.datagram();
}

inline std::vector<std::uint8_t> delete_request(const FlowKey& key) {
    MessageBuilder message(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST,
                           address_family(key.original.family));
    put_tuple(message, CTA_TUPLE_ORIG, key.original,
              key.zone.direction == ZoneDirection::original ? key.zone.id : std::uint16_t{0});
    if (key.zone.direction == ZoneDirection::both && key.zone.id != 0) {
        message.be16(CTA_ZONE, key.zone.id);
    }
    return message.datagram();
}

}  // namespace flowkin::testing
