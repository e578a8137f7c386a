// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include "json/fragments.hpp"
#include "json/kin.hpp"
#include "json/words.hpp"

/// A logged packet's record: the packet itself, the flow it belongs to, and what a rule knew of it.
namespace flowkin {
namespace {

constexpr LineKind first_kind = LineKind::packet_rejected;

LineKind kind_of(PacketAction action) {
    return static_cast<LineKind>(static_cast<std::size_t>(first_kind) + static_cast<std::size_t>(action));
}

/// A prefix may be 127 bytes long and each byte become six. With no room for that on a line, one that grows
/// beyond this as JSON (which takes control characters or bytes that are no UTF-8) loses its end.
constexpr std::size_t prefix_longest = 254;

void put_prefix(LineWriter& line, std::string_view prefix) {
    std::array<char, LogPrefix::longest * escaped_bytes_a_byte> text{};
    const auto length = [&] {
        return static_cast<std::size_t>(write_escaped(text.data(), prefix) - text.data());
    };
    std::size_t bytes = length();
    while (bytes > prefix_longest) {
        prefix.remove_suffix(1);
        bytes = length();
    }
    line.put_word({text.data(), bytes});
}

void put_end(LineWriter& line, const Address& address, std::uint16_t port, const PacketHeaders& headers) {
    line.put(R"({"ip":)");
    line.put_address(address, headers.tuple.family);
    if (headers.whole && has_ports(headers.tuple.protocol)) {
        line.put(R"(,"port":)");
        line.put_number(port);
    }
    line.put('}');
}

/// `"source":{…},"destination":{…}`
void put_ends(LineWriter& line, const PacketHeaders& headers) {
    line.put(R"("source":)");
    put_end(line, headers.tuple.source, headers.tuple.source_port, headers);
    line.put(R"(,"destination":)");
    put_end(line, headers.tuple.destination, headers.tuple.destination_port, headers);
}

void put_tcp_flags(LineWriter& line, TcpFlags flags) {
    if (flags.bits == 0) {
        return;
    }
    line.put(R"("tcp_flags":[)");
    // As one reads them aloud: what the packet is first, its acknowledgement after.
    for (const TcpFlag flag : {TcpFlag::syn, TcpFlag::fin, TcpFlag::rst, TcpFlag::psh, TcpFlag::ack,
                               TcpFlag::urg, TcpFlag::ece, TcpFlag::cwr}) {
        if (flags.has(flag)) {
            line.put_word(tcp_flag_words[flag]);
            line.put(',');
        }
    }
    line.close_after_comma(']');
    line.put(',');
}

/// Where a packet was and what it was; a comma behind each member.
void put_passage(LineWriter& line, const PacketMessage& packet, std::string_view in, std::string_view out) {
    if (packet.hook) {
        line.put(R"("hook":)");
        line.put_word(packet_hook_words[*packet.hook]);
        line.put(',');
    }
    if (!packet.prefix.empty()) {
        line.put(R"("prefix":)");
        put_prefix(line, packet.prefix.view());
        line.put(',');
    }
    if (!in.empty()) {
        line.put(R"("in":)");
        line.put_text(in);
        line.put(',');
    }
    if (!out.empty()) {
        line.put(R"("out":)");
        line.put_text(out);
        line.put(',');
    }
    const PacketHeaders& headers = packet.headers;
    put_tcp_flags(line, headers.tcp_flags.value_or(TcpFlags{}));
    if (headers.whole && is_icmp(headers.tuple.protocol)) {
        const IcmpFields icmp = headers.tuple.icmp();
        line.put(R"("icmp":{"type":)");
        line.put_number(icmp.type);
        line.put(R"(,"code":)");
        line.put_number(icmp.code);
        line.put("},");
    }
    line.put(R"("length":)");
    line.put_number(headers.length);
    line.put(',');
}

void put_about(LineWriter& line, const PacketHeaders& about) {
    line.put(R"("about":{)");
    if (const auto word = transport_word(about.tuple.protocol); !word.empty()) {
        line.put(R"("transport":)");
        line.put_word(word);
        line.put(',');
    }
    if (about.whole) {
        line.put(R"("community_id":)");
        line.put_community_id(about.tuple);
        line.put(',');
    }
    put_ends(line, about);
    line.put("},");
}

void put_packet(LineWriter& line, const PacketEvent& event) {
    const PacketMessage& packet = *event.packet;
    line.put(R"("packet":{)");
    if (event.state) {
        line.put(R"("state":)");
        line.put_word(packet_state_words[*event.state]);
        line.put(',');
    }
    if (event.direction) {
        line.put(R"("direction":)");
        line.put_word(packet_direction_words[*event.direction]);
        line.put(',');
    }
    put_passage(line, packet, event.in, event.out);
    if (event.id_from) {
        line.put(R"("flow_id_from":)");
        line.put_word(flow_id_source_words[*event.id_from]);
        line.put(',');
    }
    if (packet.about) {
        put_about(line, *packet.about);
    }
    if (event.refused) {
        line.put(R"("refused":{"at":)");
        line.put_time(event.refused->at);
        line.put(',');
        put_passage(line, *event.refused->packet, event.refused->in, event.refused->out);
        line.close_after_comma('}');
        line.put(',');
    }
    line.close_after_comma('}');
}

void put_conntrack(LineWriter& line, const PacketEvent& event) {
    line.put(R"(,"conntrack":{)");
    if (event.uid) {
        line.put(R"("uid":)");
        line.put_uid(event.uid);
        line.put(',');
    }
    if (event.id) {
        line.put(R"("id":)");
        line.put_number(*event.id);
        line.put(',');
    }
    if (event.unconfirmed) {
        line.put(R"("confirmed":false,)");
    }
    if (event.mark) {
        line.put(R"("mark":)");
        line.put_number(*event.mark);
        line.put(',');
    }
    put_packet(line, event);
    put_zone(line, event.zone);
    line.put("}}");
}

}  // namespace

void put_packet_line(LineWriter& line, const Fragments& fragments, const PacketEvent& event,
                     std::uint64_t sequence) {
    const PacketHeaders& headers = event.packet->headers;
    fragments.put_head(line, kind_of(event.action), event.at, sequence);
    if (event.action == PacketAction::rejected) {
        line.put(R"(,"outcome":"failure")");
    }
    fragments.put_origin(line);
    line.put(fragments.network(headers.tuple.family, headers.tuple.protocol));
    if (headers.whole) {
        line.put(R"(,"community_id":)");
        line.put_community_id(headers.tuple);
    }
    line.put("},");
    put_ends(line, headers);
    put_conntrack(line, event);
}

}  // namespace flowkin
