// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <arpa/inet.h>

#include <array>
#include <cstdio>
#include <map>
#include <string>

#include "flow/message.hpp"
#include "support/conntrack_message_builder.hpp"

/// A message as text, attribute by attribute, in the words of the .txt files beside the captures: what a
/// capture's text says, what decode says and what libnetfilter_conntrack says are then compared as they
/// stand.
namespace flowkin::testing {

using MessageText = std::map<std::string, std::string>;

inline std::string hex(std::uint32_t value) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "0x%x", value);
    return text.data();
}

inline std::string address_text(const Address& address, Family family) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family == Family::ipv4 ? AF_INET : AF_INET6, address.bytes.data(), text.data(), text.size());
    return text.data();
}

inline std::string tuple_text(const Tuple& tuple) {
    std::string text = "{" + address_text(tuple.source, tuple.family) + ">" +
                       address_text(tuple.destination, tuple.family) +
                       " p=" + std::to_string(static_cast<unsigned>(tuple.protocol));
    if (is_icmp(tuple.protocol)) {
        text += " icmpid=" + std::to_string(tuple.icmp().id) + " type=" + std::to_string(tuple.icmp().type) +
                " code=" + std::to_string(tuple.icmp().code);
    } else {
        text += " sp=" + std::to_string(tuple.source_port) + " dp=" + std::to_string(tuple.destination_port);
    }
    return text + "}";
}

inline std::string counters_text(const Counters& counters) {
    return "pk=" + std::to_string(counters.packets) + " by=" + std::to_string(counters.bytes);
}

inline std::string stamps_text(const std::optional<WallTime>& start, const std::optional<WallTime>& stop) {
    std::string text;
    if (start) {
        text += "start=" + std::to_string(nanoseconds_since_epoch(*start));
    }
    if (stop) {
        text += (start ? " stop=" : "stop=") + std::to_string(nanoseconds_since_epoch(*stop));
    }
    return text;
}

inline std::string labels_text(const Labels& labels) {
    std::string text;
    for (const unsigned byte : labels.bytes) {
        std::array<char, 4> digits{};
        std::snprintf(digits.data(), digits.size(), "%02x", byte & 0xffU);
        text += digits.data();
    }
    return text;
}

inline std::string heading(const std::string& kind, const Tuple& tuple, bool by_request) {
    return kind + " af=" + std::to_string(address_family(tuple.family)) + (by_request ? " pid=1" : " pid=0");
}

/// The attributes of `flow`; "" is the heading. A mark of 0 is left out, as the kernel does.
inline MessageText to_text(const FlowMessage& flow) {
    constexpr std::array<const char*, 4> kinds = {"NEW", "UPD", "DES", "DUMP"};
    MessageText text;
    text[""] = heading(kinds.at(static_cast<std::size_t>(flow.kind)), flow.key.original, flow.port_id != 0);
    text["TUPLE_ORIG"] = tuple_text(flow.key.original);
    text["TUPLE_REPLY"] = tuple_text(flow.reply);
    if (flow.key.zone.id != 0) {
        constexpr std::array<const char*, 3> zones = {"ZONE", "ZONE_ORIG", "ZONE_REPLY"};
        text[zones.at(static_cast<std::size_t>(flow.key.zone.direction))] = std::to_string(flow.key.zone.id);
    }
    if (flow.mark != 0) {
        text["MARK"] = hex(flow.mark);
    }
    if (flow.id) {
        text["ID"] = hex(*flow.id);
    }
    if (flow.status) {
        text["STATUS"] = hex(flow.status->bits);
    }
    if (flow.timeout_s) {
        text["TIMEOUT"] = std::to_string(*flow.timeout_s);
    }
    if (flow.protocol_state) {
        text["STATE"] = std::to_string(*flow.protocol_state);
    }
    if (flow.helper) {
        text["HELP"] = flow.helper->view();
    }
    if (flow.labels) {
        text["LABELS"] = labels_text(*flow.labels);
    }
    if (flow.master) {
        text["TUPLE_MASTER"] = tuple_text(*flow.master);
    }
    if (flow.original_counters) {
        text["COUNTERS_ORIG"] = counters_text(*flow.original_counters);
    }
    if (flow.reply_counters) {
        text["COUNTERS_REPLY"] = counters_text(*flow.reply_counters);
    }
    if (flow.start || flow.stop) {
        text["TIMESTAMP"] = stamps_text(flow.start, flow.stop);
    }
    if (flow.event_time) {
        text["TIMESTAMP_EVENT"] = std::to_string(nanoseconds_since_epoch(*flow.event_time));
    }
    return text;
}

inline MessageText to_text(const ExpectationMessage& expectation) {
    constexpr std::array<const char*, 3> kinds = {"XNEW", "XDES", "XDUMP"};
    MessageText text;
    text[""] = heading(kinds.at(static_cast<std::size_t>(expectation.kind)), expectation.expected,
                       expectation.port_id != 0);
    text["EXP_TUPLE"] = tuple_text(expectation.expected);
    text["EXP_MASK"] = tuple_text(expectation.mask);
    text["EXP_MASTER"] = tuple_text(expectation.master);
    text["EXP_ID"] = hex(expectation.id);
    if (expectation.zone.id != 0) {
        text["EXP_ZONE"] = std::to_string(expectation.zone.id);
    }
    if (expectation.timeout_s) {
        text["EXP_TIMEOUT"] = std::to_string(*expectation.timeout_s);
    }
    if (expectation.flags) {
        text["EXP_FLAGS"] = std::to_string(*expectation.flags);
    }
    if (expectation.expectation_class) {
        text["EXP_CLASS"] = std::to_string(*expectation.expectation_class);
    }
    if (expectation.helper) {
        text["EXP_HELP_NAME"] = expectation.helper->view();
    }
    return text;
}

}  // namespace flowkin::testing
