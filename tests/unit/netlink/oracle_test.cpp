// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <memory>

#include "message_text.hpp"
#include "netlink/attributes.hpp"
#include "netlink/decode.hpp"
#include "random_message.hpp"
#include "support/captures.hpp"

/// libnetfilter_conntrack is the judge: where it accepts a message, decode agrees with it on every attribute
/// that the library knows. (It knows no CTA_TIMESTAMP_EVENT.)
namespace flowkin::testing {
namespace {

struct Free {
    void operator()(nf_conntrack* flow) const { nfct_destroy(flow); }
    void operator()(nf_expect* expectation) const { nfexp_destroy(expectation); }
};

/// What the library calls the attributes of one tuple.
struct TupleAttributes {
    nf_conntrack_attr l3, l4, source4, destination4, source6, destination6, source_port, destination_port,
        icmp_type, icmp_code, icmp_id;
};
constexpr TupleAttributes original_attributes = {ATTR_ORIG_L3PROTO,  ATTR_ORIG_L4PROTO,  ATTR_ORIG_IPV4_SRC,
                                                 ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_SRC, ATTR_ORIG_IPV6_DST,
                                                 ATTR_ORIG_PORT_SRC, ATTR_ORIG_PORT_DST, ATTR_ICMP_TYPE,
                                                 ATTR_ICMP_CODE,     ATTR_ICMP_ID};
constexpr TupleAttributes master_attributes = {
    ATTR_MASTER_L3PROTO,  ATTR_MASTER_L4PROTO,  ATTR_MASTER_IPV4_SRC, ATTR_MASTER_IPV4_DST,
    ATTR_MASTER_IPV6_SRC, ATTR_MASTER_IPV6_DST, ATTR_MASTER_PORT_SRC, ATTR_MASTER_PORT_DST,
    ATTR_ICMP_TYPE,       ATTR_ICMP_CODE,       ATTR_ICMP_ID};
constexpr TupleAttributes reply_attributes = {ATTR_REPL_L3PROTO,  ATTR_REPL_L4PROTO,  ATTR_REPL_IPV4_SRC,
                                              ATTR_REPL_IPV4_DST, ATTR_REPL_IPV6_SRC, ATTR_REPL_IPV6_DST,
                                              ATTR_REPL_PORT_SRC, ATTR_REPL_PORT_DST, ATTR_ICMP_TYPE,
                                              ATTR_ICMP_CODE,     ATTR_ICMP_ID};

/// A tuple as far as the library can tell it: it has only one set of ICMP's attributes, the original tuple's.
std::string tuple_text_of(const nf_conntrack* flow, const TupleAttributes& names, bool with_icmp) {
    Tuple tuple;
    tuple.family = nfct_get_attr_u8(flow, names.l3) == AF_INET ? Family::ipv4 : Family::ipv6;
    tuple.protocol = static_cast<Protocol>(nfct_get_attr_u8(flow, names.l4));
    const bool ipv4 = tuple.family == Family::ipv4;
    const auto copy = [&](nf_conntrack_attr name, Address& address) {
        if (const void* bytes = nfct_get_attr(flow, name)) {
            std::memcpy(address.bytes.data(), bytes, ipv4 ? 4 : 16);
        }
    };
    copy(ipv4 ? names.source4 : names.source6, tuple.source);
    copy(ipv4 ? names.destination4 : names.destination6, tuple.destination);
    if (is_icmp(tuple.protocol)) {
        if (with_icmp) {
            tuple.set_icmp({nfct_get_attr_u8(flow, names.icmp_type), nfct_get_attr_u8(flow, names.icmp_code),
                            ntohs(nfct_get_attr_u16(flow, names.icmp_id))});
        }
    } else {
        tuple.source_port = ntohs(nfct_get_attr_u16(flow, names.source_port));
        tuple.destination_port = ntohs(nfct_get_attr_u16(flow, names.destination_port));
    }
    return tuple_text(tuple);
}

/// Without the ICMP fields that the library cannot tell.
std::string without_icmp(Tuple tuple) {
    if (is_icmp(tuple.protocol)) {
        tuple.set_icmp({});
    }
    return tuple_text(tuple);
}

void add_numbers(const nf_conntrack* flow, MessageText& text) {
    const auto is_set = [&](nf_conntrack_attr name) { return nfct_attr_is_set(flow, name) > 0; };
    if (is_set(ATTR_MARK) && nfct_get_attr_u32(flow, ATTR_MARK) != 0) {
        text["MARK"] = hex(nfct_get_attr_u32(flow, ATTR_MARK));
    }
    if (is_set(ATTR_ID)) {
        text["ID"] = hex(nfct_get_attr_u32(flow, ATTR_ID));
    }
    if (is_set(ATTR_STATUS)) {
        text["STATUS"] = hex(nfct_get_attr_u32(flow, ATTR_STATUS));
    }
    if (is_set(ATTR_TIMEOUT)) {
        text["TIMEOUT"] = std::to_string(nfct_get_attr_u32(flow, ATTR_TIMEOUT));
    }
    for (const nf_conntrack_attr name : {ATTR_TCP_STATE, ATTR_SCTP_STATE, ATTR_DCCP_STATE}) {
        if (is_set(name)) {
            text["STATE"] = std::to_string(nfct_get_attr_u8(flow, name));
        }
    }
    const std::array<std::pair<nf_conntrack_attr, const char*>, 3> zones = {
        {{ATTR_ZONE, "ZONE"}, {ATTR_ORIG_ZONE, "ZONE_ORIG"}, {ATTR_REPL_ZONE, "ZONE_REPLY"}}};
    for (const auto& [name, key] : zones) {
        if (is_set(name) && nfct_get_attr_u16(flow, name) != 0) {
            text[key] = std::to_string(nfct_get_attr_u16(flow, name));
            break;  // a flow has one; of several the first in this order is what decode takes
        }
    }
}

void add_rest(const nf_conntrack* flow, MessageText& text) {
    const auto is_set = [&](nf_conntrack_attr name) { return nfct_attr_is_set(flow, name) > 0; };
    const auto number64 = [&](nf_conntrack_attr name) { return nfct_get_attr_u64(flow, name); };
    if (is_set(ATTR_HELPER_NAME)) {
        const auto* name = static_cast<const char*>(nfct_get_attr(flow, ATTR_HELPER_NAME));
        if (*name != 0) {
            text["HELP"] = name;
        }
    }
    if (is_set(ATTR_CONNLABELS)) {
        const auto* bits = static_cast<const nfct_bitmask*>(nfct_get_attr(flow, ATTR_CONNLABELS));
        Labels labels;
        for (unsigned bit = 0; bit <= nfct_bitmask_maxbit(bits); ++bit) {
            const unsigned set = nfct_bitmask_test_bit(bits, bit) != 0 ? 1U << (bit % 8) : 0U;
            labels.bytes.at(bit / 8) = static_cast<std::uint8_t>(labels.bytes.at(bit / 8) | set);
        }
        text["LABELS"] = labels_text(labels);
    }
    if (is_set(ATTR_ORIG_COUNTER_PACKETS) || is_set(ATTR_ORIG_COUNTER_BYTES)) {
        text["COUNTERS_ORIG"] =
            counters_text({number64(ATTR_ORIG_COUNTER_PACKETS), number64(ATTR_ORIG_COUNTER_BYTES)});
    }
    if (is_set(ATTR_REPL_COUNTER_PACKETS) || is_set(ATTR_REPL_COUNTER_BYTES)) {
        text["COUNTERS_REPLY"] =
            counters_text({number64(ATTR_REPL_COUNTER_PACKETS), number64(ATTR_REPL_COUNTER_BYTES)});
    }
    const auto stamp = [&](nf_conntrack_attr name) -> std::optional<WallTime> {
        const auto since_epoch_ns = static_cast<std::int64_t>(is_set(name) ? number64(name) : 0);
        return since_epoch_ns > 0 ? std::optional(WallTime(nanoseconds(since_epoch_ns))) : std::nullopt;
    };
    const std::string stamps = stamps_text(stamp(ATTR_TIMESTAMP_START), stamp(ATTR_TIMESTAMP_STOP));
    if (!stamps.empty()) {
        text["TIMESTAMP"] = stamps;
    }
}

/// Whether the tuples name their ends as their protocol does: the library keeps a port and an ICMP id in one
/// place, so that what it says of a tuple with both has no meaning.
bool ends_fit_protocols(std::span<const std::uint8_t> attributes) {
    bool fit = true;
    const auto check_ends = [&](const wire::Attribute& part) -> wire::Check {
        std::uint8_t protocol = 0;
        bool has_ports = false;
        bool has_icmp = false;
        const auto note = [&](const wire::Attribute& end) -> wire::Check {
            has_ports = has_ports || end.type == CTA_PROTO_SRC_PORT || end.type == CTA_PROTO_DST_PORT;
            has_icmp = has_icmp || (end.type >= CTA_PROTO_ICMP_ID && end.type <= CTA_PROTO_ICMPV6_CODE);
            return end.type == CTA_PROTO_NUM ? wire::read(end.payload, protocol) : wire::Check{};
        };
        if (part.type == CTA_TUPLE_PROTO && !wire::for_each_attribute(part.payload, note)) {
            fit = fit && !(is_icmp(static_cast<Protocol>(protocol)) ? has_ports : has_icmp);
        }
        return {};
    };
    static_cast<void>(
        wire::for_each_attribute(attributes, [&](const wire::Attribute& attribute) -> wire::Check {
            static_cast<void>(wire::for_each_attribute(attribute.payload, check_ends));
            return {};
        }));
    return fit;
}

/// What both can say of a message: what the library says, and what decode says without the rest. Empty where
/// the library refuses it. Beware: at a malformed attribute the library calls exit().
struct Verdicts {
    MessageText library;
    MessageText ours;
};

std::optional<Verdicts> judge_flow(const nlmsghdr* header, const FlowMessage& decoded) {
    const std::unique_ptr<nf_conntrack, Free> flow(nfct_new());
    if (nfct_nlmsg_parse(header, flow.get()) < 0) {
        return std::nullopt;
    }
    Verdicts verdicts;
    verdicts.library["TUPLE_ORIG"] = tuple_text_of(flow.get(), original_attributes, true);
    const bool has_reply = nfct_attr_is_set(flow.get(), ATTR_REPL_L4PROTO) > 0;
    if (has_reply) {
        verdicts.library["TUPLE_REPLY"] = tuple_text_of(flow.get(), reply_attributes, false);
    }
    if (nfct_attr_is_set(flow.get(), ATTR_MASTER_L4PROTO) > 0) {
        verdicts.library["TUPLE_MASTER"] = tuple_text_of(flow.get(), master_attributes, false);
    }
    add_numbers(flow.get(), verdicts.library);
    add_rest(flow.get(), verdicts.library);

    verdicts.ours = to_text(decoded);
    verdicts.ours.erase("");
    verdicts.ours.erase("TIMESTAMP_EVENT");
    verdicts.ours.erase("TUPLE_REPLY");
    if (has_reply) {  // else decode's own is the mirror of the original
        verdicts.ours["TUPLE_REPLY"] = without_icmp(decoded.reply);
    }
    if (decoded.master) {
        verdicts.ours["TUPLE_MASTER"] = without_icmp(*decoded.master);
    }
    return verdicts;
}

std::optional<Verdicts> judge_expectation(const nlmsghdr* header, const ExpectationMessage& decoded) {
    const std::unique_ptr<nf_expect, Free> expectation(nfexp_new());
    if (nfexp_nlmsg_parse(header, expectation.get()) < 0) {
        return std::nullopt;
    }
    Verdicts verdicts;
    const auto is_set = [&](nf_expect_attr name) { return nfexp_attr_is_set(expectation.get(), name) > 0; };
    const auto tuple = [&](nf_expect_attr name) {
        const auto* part = static_cast<const nf_conntrack*>(nfexp_get_attr(expectation.get(), name));
        return tuple_text_of(part, original_attributes, true);
    };
    verdicts.library["EXP_TUPLE"] = tuple(ATTR_EXP_EXPECTED);
    verdicts.library["EXP_MASK"] = tuple(ATTR_EXP_MASK);
    verdicts.library["EXP_MASTER"] = tuple(ATTR_EXP_MASTER);
    if (is_set(ATTR_EXP_TIMEOUT)) {
        verdicts.library["EXP_TIMEOUT"] =
            std::to_string(nfexp_get_attr_u32(expectation.get(), ATTR_EXP_TIMEOUT));
    }
    if (is_set(ATTR_EXP_FLAGS)) {
        verdicts.library["EXP_FLAGS"] = std::to_string(nfexp_get_attr_u32(expectation.get(), ATTR_EXP_FLAGS));
    }
    if (is_set(ATTR_EXP_CLASS)) {
        verdicts.library["EXP_CLASS"] = std::to_string(nfexp_get_attr_u32(expectation.get(), ATTR_EXP_CLASS));
    }
    if (is_set(ATTR_EXP_HELPER_NAME)) {
        const auto* name = static_cast<const char*>(nfexp_get_attr(expectation.get(), ATTR_EXP_HELPER_NAME));
        if (*name != 0) {
            verdicts.library["EXP_HELP_NAME"] = name;
        }
    }
    if (is_set(ATTR_EXP_ZONE) && nfexp_get_attr_u16(expectation.get(), ATTR_EXP_ZONE) != 0) {
        verdicts.library["EXP_ZONE"] = std::to_string(nfexp_get_attr_u16(expectation.get(), ATTR_EXP_ZONE));
    }
    verdicts.ours = to_text(decoded);
    verdicts.ours.erase("");
    verdicts.ours.erase("EXP_ID");  // the library has no such attribute
    return verdicts;
}

/// The verdicts on the first message of `datagram`; empty where one of the two refuses it.
std::optional<Verdicts> judge(std::span<const std::uint8_t> datagram) {
    Decoded decoded;
    if (!MessageReader(datagram).next(decoded)) {
        return std::nullopt;
    }
    std::vector<std::uint32_t> aligned((datagram.size() + 3) / 4);
    std::memcpy(aligned.data(), datagram.data(), datagram.size());
    const auto* header = reinterpret_cast<const nlmsghdr*>(aligned.data());
    if (const auto* flow = std::get_if<FlowMessage>(&decoded)) {
        return judge_flow(header, *flow);
    }
    if (const auto* expectation = std::get_if<ExpectationMessage>(&decoded)) {
        return judge_expectation(header, *expectation);
    }
    return std::nullopt;
}

// A process that AddressSanitizer watches takes long to fork.
#ifdef __SANITIZE_ADDRESS__
constexpr bool forks_are_slow = true;
#elif defined(__has_feature)
constexpr bool forks_are_slow = __has_feature(address_sanitizer);
#else
constexpr bool forks_are_slow = false;
#endif

enum Outcome : int { agree = 40, refused = 41, disagree = 42 };

/// judge() in a process of its own, where the library may exit. Anything but an Outcome is its exit.
int judge_apart(const std::vector<std::uint8_t>& datagram) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(null, STDERR_FILENO);
        ::dup2(null, STDOUT_FILENO);
        const auto verdicts = judge(datagram);
        ::_exit(!verdicts ? refused : verdicts->library == verdicts->ours ? agree : disagree);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE("decode agrees with libnetfilter_conntrack on every message of the captures") {
    std::size_t judged = 0;
    for (const auto& path : capture_paths()) {
        CAPTURE(path.filename());
        for (const CapturedDatagram& datagram : read_capture(path)) {
            std::span<const std::uint8_t> rest = datagram.bytes;
            while (!rest.empty()) {
                nlmsghdr header{};
                std::memcpy(&header, rest.data(), sizeof header);
                if (header.nlmsg_type >= NLMSG_MIN_TYPE) {
                    const auto verdicts = judge(rest.first(header.nlmsg_len));
                    REQUIRE(verdicts);
                    CHECK(verdicts->library == verdicts->ours);
                    ++judged;
                }
                rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
            }
        }
    }
    CHECK(judged > 90);
}

TEST_CASE("decode agrees with libnetfilter_conntrack on generated messages") {
    RandomMessages random(11);
    for (int round = 0; round < 5'000; ++round) {
        const auto flow = judge(flow_datagram(random.flow()));
        REQUIRE(flow);
        REQUIRE(flow->library == flow->ours);
        const auto expectation = judge(expectation_datagram(random.expectation()));
        REQUIRE(expectation);
        REQUIRE(expectation->library == expectation->ours);
    }
}

TEST_CASE("what libnetfilter_conntrack accepts of broken messages, decode reads as it does") {
    RandomMessages random(12);
    int agreed = 0;
    for (const auto& path : capture_paths()) {
        for (const CapturedDatagram& captured : read_capture(path)) {
            for (int round = 0; round < (forks_are_slow ? 1 : 12); ++round) {
                auto datagram = captured.bytes;
                const std::size_t at = sizeof(nlmsghdr) + random.below(datagram.size() - sizeof(nlmsghdr));
                datagram[at] =
                    static_cast<std::uint8_t>(random.below(3) == 0 ? random.below(256) : random.below(32));
                CAPTURE(path.filename(), at, static_cast<unsigned>(datagram[at]),
                        static_cast<unsigned>(captured.bytes[at]));
                if (!ends_fit_protocols(std::span(datagram).subspan(sizeof(nlmsghdr) + sizeof(nfgenmsg)))) {
                    continue;
                }
                const int outcome = judge_apart(datagram);
                CHECK(outcome != disagree);
                agreed += outcome == agree ? 1 : 0;
            }
        }
    }
    CHECK(agreed > 20);
}

}  // namespace
}  // namespace flowkin::testing
