// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>

#include "json/fragments.hpp"
#include "json/kin.hpp"
#include "json/words.hpp"

/// An expectation's record: the tuple that is awaited, as far as its mask says, and whose child it will be.
namespace flowkin {
namespace {

LineKind kind_of(ExpectationAction action) {
    switch (action) {
        case ExpectationAction::created:
            return LineKind::expectation_created;
        case ExpectationAction::fulfilled:
            return LineKind::expectation_fulfilled;
        case ExpectationAction::ended:
            break;
    }
    return LineKind::expectation_ended;
}

/// One end of the awaited tuple. A part that may be anything is left out, and so is an end of which nothing
/// is fixed.
struct AwaitedEnd {
    const Address& address;
    const Address& address_mask;
    std::uint16_t port;
    bool has_port;

    bool has_address() const { return address_mask != Address{}; }
};

void put_end(LineWriter& line, std::string_view opening, const AwaitedEnd& end, Family family) {
    if (!end.has_address() && !end.has_port) {
        return;
    }
    line.put(opening);
    if (end.has_address()) {
        line.put(R"("ip":)");
        line.put_address(end.address, family);
        line.put(',');
    }
    if (end.has_port) {
        line.put(R"("port":)");
        line.put_number(end.port);
        line.put(',');
    }
    line.close_after_comma('}');
}

bool all_ones(const Address& mask, Family family) {
    const auto* end = mask.bytes.begin() + (family == Family::ipv4 ? 4 : 16);
    return std::all_of(mask.bytes.begin(), end, [](std::uint8_t byte) { return byte == 0xff; });
}

/// No part of the tuple is left open, so that it can be told by one Community ID.
bool is_exact(const ExpectationMessage& expectation) {
    const Tuple& mask = expectation.mask;
    const Family family = expectation.expected.family;
    const bool exact_addresses = all_ones(mask.source, family) && all_ones(mask.destination, family);
    const bool exact_ports = mask.source_port == 0xffff && mask.destination_port == 0xffff;
    const Protocol protocol = expectation.expected.protocol;
    return exact_addresses && (exact_ports || !(has_ports(protocol) || is_icmp(protocol)));
}

void put_ends(LineWriter& line, const Fragments& fragments, const ExpectationMessage& expectation) {
    const Tuple& expected = expectation.expected;
    const Tuple& mask = expectation.mask;
    line.put(fragments.network(expected.family, expected.protocol));
    if (is_exact(expectation)) {
        line.put(R"(,"community_id":)");
        line.put_community_id(expected);
    }
    line.put('}');
    const bool with_ports = has_ports(expected.protocol);
    put_end(line, R"(,"source":{)",
            {expected.source, mask.source, expected.source_port, with_ports && mask.source_port != 0},
            expected.family);
    put_end(line, R"(,"destination":{)",
            {expected.destination, mask.destination, expected.destination_port,
             with_ports && mask.destination_port != 0},
            expected.family);
}

void put_gre(LineWriter& line, const ExpectationMessage& expectation) {
    const bool has_source = expectation.mask.source_port != 0;
    const bool has_destination = expectation.mask.destination_port != 0;
    if (expectation.expected.protocol != Protocol::gre || !(has_source || has_destination)) {
        return;
    }
    line.put(R"(,"gre":{)");
    if (has_source) {
        line.put(R"("source_key":)");
        line.put_number(expectation.expected.source_port);
        line.put(',');
    }
    if (has_destination) {
        line.put(R"("destination_key":)");
        line.put_number(expectation.expected.destination_port);
        line.put(',');
    }
    line.close_after_comma('}');
}

void put_flags(LineWriter& line, std::uint32_t flags) {
    if ((flags & 0x7U) == 0) {
        return;
    }
    line.put(R"(,"flags":[)");
    for (unsigned bit = 0; bit < 3; ++bit) {
        if ((flags >> bit & 1U) != 0) {
            line.put_word(expectation_flag_words[bit]);
            line.put(',');
        }
    }
    line.close_after_comma(']');
}

void put_expectation(LineWriter& line, const ExpectationEvent& event) {
    const ExpectationMessage& expectation = *event.expectation;
    line.put(R"("expectation":{"id":)");
    line.put_number(expectation.id);
    if (expectation.timeout_s) {
        line.put(R"(,"timeout":)");
        line.put_number(*expectation.timeout_s);
    }
    if (expectation.expectation_class) {
        line.put(R"(,"class":)");
        line.put_number(*expectation.expectation_class);
    }
    if (expectation.flags) {
        put_flags(line, *expectation.flags);
    }
    if (expectation.helper && !expectation.helper->empty()) {
        line.put(R"(,"helper":)");
        line.put_text(expectation.helper->view());
    }
    if (event.action == ExpectationAction::fulfilled && event.child) {
        line.put(R"(,"child":)");
        line.put_uid(event.child);
    }
    line.put('}');
}

}  // namespace

void put_expectation_line(LineWriter& line, const Fragments& fragments, const ExpectationEvent& event,
                          std::uint64_t sequence) {
    fragments.put_head(line, kind_of(event.action), event.at, sequence);
    fragments.put_origin(line);
    put_ends(line, fragments, *event.expectation);
    line.put(R"(,"conntrack":{)");
    put_expectation(line, event);
    put_zone(line, event.expectation->zone);
    put_gre(line, *event.expectation);
    put_kin(line, event.lineage, event.expectation->master);
    line.put("}}");
}

}  // namespace flowkin
