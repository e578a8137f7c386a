// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/event_filter.hpp"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

namespace flowkin {

namespace {

constexpr std::uint32_t accept_all = 0xffffffff;
constexpr std::uint32_t no_port = 0x10000;
constexpr std::uint32_t attribute_header = sizeof(nlattr);
constexpr std::uint32_t first_attribute = NLMSG_LENGTH(sizeof(nfgenmsg));
/// A message's type is in the host's byte order: where its subsystem stands.
constexpr std::uint32_t subsystem_offset =
    offsetof(nlmsghdr, nlmsg_type) + (std::endian::native == std::endian::little ? 1 : 0);
constexpr std::uint32_t family_offset = NLMSG_LENGTH(0) + offsetof(nfgenmsg, nfgen_family);

/// Words of the program's memory. The kernel wants each to be written before it is read.
enum Slot : std::uint32_t {
    family_slot,
    protocol_slot,
    port_slot,
    tuple_slot,   ///< where CTA_TUPLE_ORIG begins
    nested_slot,  ///< where the attribute within it begins
    source_slot,  ///< four words, of which IPv4 fills the first
    destination_slot = source_slot + 4,
    slots = destination_slot + 4,
};
static_assert(slots <= BPF_MEMWORDS);

/// A length of netlink, which is in the host's order, as a load sees it, which takes all for the network's.
constexpr std::uint32_t as_loaded(std::uint16_t length) {
    return std::endian::native == std::endian::little ? __builtin_bswap16(length) : length;
}

class Program {
  public:
    std::vector<sock_filter> take() { return std::move(code_); }

    void add(const sock_filter& instruction) { code_.push_back(instruction); }
    void add(unsigned code, std::uint32_t value) {
        code_.push_back({static_cast<std::uint16_t>(code), 0, 0, value});
    }
    void load(std::uint32_t value) { add(BPF_LD | BPF_IMM, value); }
    void load_slot(std::uint32_t slot) { add(BPF_LD | BPF_MEM, slot); }
    void store(std::uint32_t slot) { add(BPF_ST, slot); }
    void end(std::uint32_t verdict) { add(BPF_RET | BPF_K, verdict); }

    /// Passes over the next `count` instructions unless the accumulator is `value`.
    void unless(std::uint32_t value, std::size_t count) {
        code_.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, static_cast<std::uint8_t>(count), value});
    }
    /// … if it is.
    void if_equal(std::uint32_t value, std::size_t count) {
        code_.push_back({BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint8_t>(count), 0, value});
    }

    /// The accumulator becomes the place of the attribute behind (or, `nested`, within the one at) its
    /// value; 0: there is none.
    void find(std::uint32_t type, bool nested) {
        add(BPF_LDX | BPF_IMM, type);
        add(BPF_LD | BPF_B | BPF_ABS,
            static_cast<std::uint32_t>(SKF_AD_OFF + (nested ? SKF_AD_NLATTR_NEST : SKF_AD_NLATTR)));
    }
    /// Lets the message through where the accumulator is 0.
    void require() {
        unless(0, 1);
        end(accept_all);
    }
    /// Finds an attribute of the one whose place is in `slot`; without it the message goes through.
    void require_nested(std::uint32_t slot, std::uint32_t type) {
        load_slot(slot);
        find(type, true);
        require();
    }
    /// Points at the attribute at the accumulator's place; the message goes through where its payload is not
    /// of the size: reading behind a message's end would refuse it.
    void require_size(std::uint32_t bytes) {
        add(BPF_MISC | BPF_TAX, 0);
        add(BPF_LD | BPF_H | BPF_IND, 0);
        if_equal(as_loaded(static_cast<std::uint16_t>(attribute_header + bytes)), 1);
        end(accept_all);
    }
    static constexpr std::size_t require_size_length = 4;

    /// Of that attribute's payload, which is BPF_B, BPF_H or BPF_W wide; network order becomes the host's.
    void store_payload(unsigned width, std::uint32_t offset, std::uint32_t slot) {
        add(BPF_LD | width | BPF_IND, attribute_header + offset);
        store(slot);
    }
    static constexpr std::size_t store_payload_length = 2;

  private:
    std::vector<sock_filter> code_;
};

/// An address of `words` words into its slots.
void read_address(Program& program, std::uint32_t type, std::uint32_t words, std::uint32_t slot) {
    program.require_nested(nested_slot, type);
    program.require_size(4 * words);
    for (std::uint32_t word = 0; word < words; ++word) {
        program.store_payload(BPF_W, 4 * word, slot + word);
    }
}

/// Both addresses, where the message is of the family.
void read_addresses(Program& program, Family family) {
    const bool ipv4 = family == Family::ipv4;
    Program part;
    read_address(part, ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, ipv4 ? 1 : 4, source_slot);
    read_address(part, ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, ipv4 ? 1 : 4, destination_slot);
    const auto code = part.take();
    program.load_slot(family_slot);
    program.unless(ipv4 ? AF_INET : AF_INET6, code.size());
    for (const sock_filter& instruction : code) {
        program.add(instruction);
    }
}

/// Takes the original tuple apart into the slots.
void read_tuple(Program& program) {
    program.load(0);
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
        program.store(slot);
    }
    program.load(no_port);
    program.store(port_slot);

    program.add(BPF_LD | BPF_W | BPF_LEN, 0);
    program.add({BPF_JMP | BPF_JGE | BPF_K, 1, 0, first_attribute});
    program.end(accept_all);
    program.add(BPF_LD | BPF_B | BPF_ABS, subsystem_offset);
    program.if_equal(NFNL_SUBSYS_CTNETLINK, 1);
    program.end(accept_all);
    program.add(BPF_LD | BPF_B | BPF_ABS, family_offset);
    program.store(family_slot);

    program.load(first_attribute);
    program.find(CTA_TUPLE_ORIG, false);
    program.require();
    program.store(tuple_slot);

    program.require_nested(tuple_slot, CTA_TUPLE_PROTO);
    program.store(nested_slot);
    program.require_nested(nested_slot, CTA_PROTO_NUM);
    program.require_size(sizeof(std::uint8_t));
    program.store_payload(BPF_B, 0, protocol_slot);
    program.load_slot(nested_slot);
    program.find(CTA_PROTO_DST_PORT, true);
    program.if_equal(0, Program::require_size_length + Program::store_payload_length);
    program.require_size(sizeof(std::uint16_t));
    program.store_payload(BPF_H, 0, port_slot);

    program.require_nested(tuple_slot, CTA_TUPLE_IP);
    program.store(nested_slot);
    read_addresses(program, Family::ipv4);
    read_addresses(program, Family::ipv6);
}

/// One thing that has to hold: the word in `slot`, under `mask`, is `value`.
struct Condition {
    std::uint32_t slot;
    std::uint32_t mask;
    std::uint32_t value;
};

constexpr std::uint32_t whole_word = 0xffffffff;

void add_subnet(const Subnet& subnet, std::uint32_t slot, std::vector<Condition>& conditions) {
    conditions.push_back({family_slot, whole_word,
                          static_cast<std::uint32_t>(subnet.family == Family::ipv4 ? AF_INET : AF_INET6)});
    unsigned left = subnet.prefix_bits;
    for (std::uint32_t word = 0; left != 0; ++word) {
        const unsigned bits = left < 32 ? left : 32;
        const std::uint32_t mask = whole_word << (32 - bits);
        const auto& bytes = subnet.address.bytes;
        const std::size_t at = std::size_t{4} * word;
        const std::uint32_t value = std::uint32_t{bytes[at]} << 24U | std::uint32_t{bytes[at + 1]} << 16U |
                                    std::uint32_t{bytes[at + 2]} << 8U | bytes[at + 3];
        conditions.push_back({slot + word, mask, value & mask});
        left -= bits;
    }
}

/// Passes the message over where all conditions hold; else goes on behind.
void refuse_where(Program& program, const std::vector<Condition>& conditions) {
    constexpr std::size_t verdict = 1;
    std::size_t left = verdict;
    for (const Condition& condition : conditions) {
        left += condition.mask == whole_word ? 2 : 3;
    }
    for (const Condition& condition : conditions) {
        program.load_slot(condition.slot);
        if (condition.mask != whole_word) {
            program.add(BPF_ALU | BPF_AND | BPF_K, condition.mask);
        }
        left -= condition.mask == whole_word ? 2 : 3;
        program.unless(condition.value, left);
    }
    program.end(0);
}

void add_rule(Program& program, const IgnoreRule& rule, Protocol protocol, bool any_protocol) {
    std::vector<Condition> conditions;
    if (!any_protocol) {
        conditions.push_back({protocol_slot, whole_word, static_cast<std::uint32_t>(protocol)});
    }
    if (rule.port) {
        conditions.push_back({port_slot, whole_word, *rule.port});
    }
    if (!rule.subnet) {
        refuse_where(program, conditions);
        return;
    }
    for (const std::uint32_t slot : {std::uint32_t{source_slot}, std::uint32_t{destination_slot}}) {
        std::vector<Condition> with_end = conditions;
        add_subnet(*rule.subnet, slot, with_end);
        refuse_where(program, with_end);
    }
}

void add_rule(Program& program, const IgnoreRule& rule) {
    if (rule.protocol || !rule.port) {
        // A protocol without ports has none that could match.
        if (!rule.port || has_ports(*rule.protocol)) {
            add_rule(program, rule, rule.protocol.value_or(Protocol{}), !rule.protocol);
        }
        return;
    }
    // GRE's keys stand where others have ports.
    for (const Protocol protocol :
         {Protocol::tcp, Protocol::udp, Protocol::udplite, Protocol::sctp, Protocol::dccp}) {
        add_rule(program, rule, protocol, false);
    }
}

}  // namespace

std::vector<sock_filter> event_filter_program(const IgnoredFlows& ignored) {
    Program program;
    read_tuple(program);
    for (const IgnoreRule& rule : ignored.rules()) {
        add_rule(program, rule);
    }
    program.end(accept_all);
    return program.take();
}

Result<void> set_event_filter(int fd, const IgnoredFlows& ignored) {
    if (ignored.empty()) {
        const int unused = 0;
        if (::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) != 0 && errno != ENOENT) {
            return fail(Fault::other,
                        "taking the filter off a socket: " + std::generic_category().message(errno));
        }
        return {};
    }
    std::vector<sock_filter> code = event_filter_program(ignored);
    if (code.size() > BPF_MAXINSNS) {
        return fail(Fault::other, "more rules than a filter of the kernel can hold");
    }
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
        return fail(Fault::other, "giving a socket its filter: " + std::generic_category().message(errno));
    }
    return {};
}

}  // namespace flowkin
