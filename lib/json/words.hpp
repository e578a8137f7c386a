// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "flow/event.hpp"

/// The words of the log: what each enumerator is called on a line. They are part of the event format: to
/// change one is to make a new version of it.
namespace flowkin {

/// A list of words, by the number of what they name. A number without a word gives an empty one.
template <std::size_t count>
struct Words {
    std::array<std::string_view, count> words;

    template <class Enumerator>
    constexpr std::string_view operator[](Enumerator enumerator) const {
        const auto place = static_cast<std::size_t>(enumerator);
        return place < count ? words[place] : std::string_view{};
    }
};
template <class... Texts>
constexpr Words<sizeof...(Texts)> words(Texts... texts) {
    return {{std::string_view(texts)...}};
}

inline constexpr auto observed_words = words("event", "dump", "reconcile");
inline constexpr auto end_reason_words =
    words("tcp-close", "tcp-reset", "timeout", "unreplied", "deleted", "vanished", "replaced");
inline constexpr auto outcome_words = words("unknown", "success", "failure");
inline constexpr auto mark_origin_words = words("", "inherited", "rule", "diverged");
inline constexpr auto gap_words = words("start-unseen", "updates-lost", "accounting-off", "timestamps-off",
                                        "counters-reset", "end-time-unknown", "table-full");
inline constexpr auto zone_direction_words = words("", "original", "reply");
inline constexpr auto loss_place_words = words("kernel-socket", "sink-queue", "sink-write", "decoder");
inline constexpr auto reconcile_cause_words = words("start", "overrun", "timer", "request");
inline constexpr auto start_state_words = words("fresh", "restored", "inherited-socket");

inline constexpr auto packet_state_words = words("new", "established", "related", "invalid", "untracked");
inline constexpr auto packet_direction_words = words("original", "reply");
inline constexpr auto packet_hook_words = words("prerouting", "input", "forward", "output", "postrouting");
inline constexpr auto flow_id_source_words = words("ct", "mark", "tuple");
inline constexpr auto tcp_flag_words = words("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr");

/// By the number of StatusBit. The bits SRC_NAT_DONE and DST_NAT_DONE have no word: every flow has them once
/// there is any NAT chain.
inline constexpr auto status_words =
    words("expected", "seen_reply", "assured", "confirmed", "snat", "dnat", "seq_adjust", "", "", "dying",
          "fixed_timeout", "template", "untracked", "helper", "offload", "hw_offload");

/// As tcp_conntrack_names, sctp_conntrack_names and dccp_state_names in the kernel. 0 is: not known.
inline constexpr auto tcp_state_words = words("", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT",
                                              "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2");
inline constexpr auto sctp_state_words =
    words("", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
          "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED");
inline constexpr auto dccp_state_words = words("", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ",
                                               "CLOSING", "TIMEWAIT", "IGNORE", "INVALID");

/// NF_CT_EXPECT_PERMANENT, _INACTIVE, _USERSPACE, by their bits.
inline constexpr auto expectation_flag_words = words("permanent", "inactive", "userspace");

/// IANA's keyword for a protocol in lower case, as network.transport has it; empty for one that no firewall
/// meets.
std::string_view transport_word(Protocol protocol);

}  // namespace flowkin
