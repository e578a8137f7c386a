// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "flow/packet.hpp"
#include "flow/packet_number.hpp"

namespace flowkin {

/// Why bytes were not understood. One word a kind, so that each is counted and reported once.
enum class DecodeFault : std::uint8_t {
    truncated_header,     ///< fewer bytes than a netlink or nfnetlink header, or a length that lies
    truncated_attribute,  ///< an attribute that ends behind its parent, or is shorter than its own header
    wrong_size,           ///< an attribute whose payload is not of its type's size
    missing_tuple,        ///< no original (expected) tuple, or one without addresses or protocol
    unknown_family,       ///< neither IPv4 nor IPv6
    truncated_packet,     ///< a logged packet without a whole IP header
};
inline constexpr std::size_t decode_fault_kinds = 6;
std::string_view name(DecodeFault fault);

/// A dump's end: NLMSG_DONE. `interrupted`: the table changed so that the dump may be incomplete
/// (NLM_F_DUMP_INTR).
struct DumpDone {
    bool interrupted = false;
};

/// NLMSG_ERROR: `code` is a positive errno, 0 an acknowledgement.
struct NetlinkError {
    int code = 0;
};

/// A message that is none of ours: another subsystem's, a request on its way to the kernel, NLMSG_NOOP.
struct Skipped {};

using Decoded = std::variant<FlowMessage, ExpectationMessage, PacketMessage, DumpDone, NetlinkError, Skipped,
                             DecodeFault>;

/// Decodes the messages of one datagram in turn: total, for any bytes. Never throws, exits or reads past the
/// end; at a header that lies about its length it reports a fault once and is at the end.
///
///     for (MessageReader reader(datagram); reader.next(decoded);) …
///
/// Attributes it does not know are skipped (new kernels add some); a known one of the wrong size is a fault.
/// Where libnetfilter_conntrack accepts a message this agrees with it.
class MessageReader {
  public:
    explicit MessageReader(std::span<const std::uint8_t> datagram) : rest_(datagram) {}

    /// False at the end; else `decoded` is the next message. A FlowMessage is written in place: only reading
    /// its members is needed, and no memory is taken.
    bool next(Decoded& decoded);

    /// True where the message that next() gave bears NLM_F_DUMP_INTR.
    bool dump_interrupted() const { return dump_interrupted_; }

    /// The number of a packet that next() did not give, since it was not understood or is none of ours.
    const std::optional<PacketNumber>& unread_packet() const { return unread_packet_; }

  private:
    std::span<const std::uint8_t> rest_;
    bool dump_interrupted_ = false;
    std::optional<PacketNumber> unread_packet_;
};

/// The original tuple of the flow that the first message of `rest` speaks of, and nothing else of it; none where it is
/// no such message, or not one as the kernel makes them. Takes the message off `rest`: all of it where its length lies.
std::optional<Tuple> take_flow_tuple(std::span<const std::uint8_t>& rest);

}  // namespace flowkin
