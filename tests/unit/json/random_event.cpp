// SPDX-License-Identifier: GPL-2.0-or-later
#include "random_event.hpp"

#include <limits>

namespace flowkin::samples {

/// A third each: any value, a small one, one end of the range.
template <class Integer>
Integer RandomEvents::any() {
    constexpr auto most = std::numeric_limits<Integer>::max();
    switch (below(6)) {
        case 0:
            return most;
        case 1:
            return 0;
        case 2:
        case 3:
            return static_cast<Integer>(below(100));
        default:
            return static_cast<Integer>(bits_());
    }
}

std::string RandomEvents::bytes(std::size_t longest) {
    static const std::vector<std::string> pieces{"ftp",
                                                 "\"",
                                                 "\\",
                                                 "\n",
                                                 std::string(1, '\0'),
                                                 "\x1f",
                                                 "\x7f",
                                                 "/",
                                                 "é",
                                                 "€",
                                                 "😀",
                                                 "\xff",
                                                 "\xc3",
                                                 "\xe2\x82",
                                                 "\xf0\x9f\x98",
                                                 "\xc0\xaf",
                                                 "\xed\xa0\x80",
                                                 "\xf4\x90\x80\x80",
                                                 "\xe0\x80\x80",
                                                 "\x80",
                                                 "\xef\xbf\xbd"};
    std::string text;
    const std::size_t wanted = below(longest + 1);
    while (text.size() < wanted) {
        text += maybe() ? pieces[below(pieces.size())] : std::string(1, static_cast<char>(below(256)));
    }
    text.resize(wanted);
    return text;
}

WallTime RandomEvents::time() {
    switch (below(4)) {
        case 0:
            return WallTime(nanoseconds(static_cast<std::int64_t>(bits_())));
        case 1:
            return maybe() ? WallTime::max() : WallTime::min();
        default:  // within some days of each other
            return WallTime(nanoseconds(1'795'425'302'123'456'789 +
                                        static_cast<std::int64_t>(below(200'000'000'000'000))));
    }
}

Address RandomEvents::random_address(Family family) {
    Address address;
    const std::size_t length = family == Family::ipv4 ? 4 : 16;
    for (std::size_t place = 0; place < length; ++place) {
        address.bytes[place] = below(3) == 0 ? any<std::uint8_t>() : std::uint8_t{0};
    }
    return address;
}

Tuple RandomEvents::random_tuple(Family family, Protocol protocol) {
    return {random_address(family),
            random_address(family),
            any<std::uint16_t>(),
            any<std::uint16_t>(),
            family,
            protocol};
}

Protocol RandomEvents::protocol() {
    constexpr Protocol named[] = {Protocol::icmp, Protocol::tcp,       Protocol::udp,  Protocol::dccp,
                                  Protocol::gre,  Protocol::ipv6_icmp, Protocol::sctp, Protocol::udplite};
    return below(5) == 0 ? static_cast<Protocol>(below(256)) : named[below(std::size(named))];
}

FlowUid RandomEvents::uid() {
    return {any<std::uint64_t>(), any<std::uint64_t>() | 1U};
}

void RandomEvents::fill(Flow& flow) {
    flow = Flow{};
    flow.key.original = random_tuple(maybe() ? Family::ipv4 : Family::ipv6, protocol());
    flow.key.zone = {any<std::uint16_t>(), static_cast<ZoneDirection>(below(3))};
    flow.mark_origin = static_cast<MarkOrigin>(below(4));
    flow.protocol_state = any<std::uint8_t>();
    if (maybe()) {
        flow.protocol_state = static_cast<std::uint8_t>(below(11));
    }
    flow.kernel_id = any<std::uint32_t>();
    flow.uid = uid();
    flow.started = time();
    flow.last_seen = time();
    flow.original_counters = {any<std::uint64_t>(), any<std::uint64_t>()};
    flow.reply_counters = {any<std::uint64_t>(), any<std::uint64_t>()};
    flow.mark = any<std::uint32_t>();
    flow.mark_previous = any<std::uint32_t>();
    flow.mark_changes = any<std::uint32_t>();
    flow.status.bits = any<std::uint32_t>();
    flow.timeout_s = any<std::uint32_t>();
    flow.gaps.bits = static_cast<std::uint8_t>(below(256));
    flow.has_kernel_id = maybe();
    flow.has_start = maybe();
    flow.has_counters = maybe();
    flow.has_timeout = maybe();
}

Lineage RandomEvents::lineage() {
    Lineage lineage;
    lineage.parent = maybe() ? uid() : FlowUid{};
    lineage.parent_tuple = random_tuple(maybe() ? Family::ipv4 : Family::ipv6, protocol());
    lineage.parent_kernel_id = any<std::uint32_t>();
    lineage.parent_has_kernel_id = maybe();
    lineage.parent_helper = HelperName(bytes(HelperName::longest));
    lineage.root = lineage.parent && maybe() ? uid() : FlowUid{};
    lineage.depth = any<std::uint32_t>();
    return lineage;
}

Event RandomEvents::flow_event() {
    fill(flow_);
    FlowEvent event;
    event.action = static_cast<FlowAction>(below(6));
    event.observed = static_cast<Observed>(below(3));
    event.at = time();
    event.view.flow = &flow_;
    if (maybe()) {
        reply_ = random_tuple(flow_.key.original.family, flow_.key.original.protocol);
        if (maybe()) {
            reply_.destination = flow_.key.original.source;
            reply_.destination_port = flow_.key.original.source_port;
            reply_.source_port = flow_.key.original.destination_port;
        }
        event.view.reply = &reply_;
    }
    if (maybe()) {
        lineage_ = lineage();
        event.view.lineage = &lineage_;
    }
    if (maybe()) {
        tags_ = Tags{HelperName(bytes(HelperName::longest)), {}};
        for (std::uint8_t& byte : tags_.labels.bytes) {
            byte = maybe() ? any<std::uint8_t>() : std::uint8_t{0};
        }
        event.view.tags = &tags_;
    }
    if (maybe()) {
        marks_ = MarkHistory{};
        for (std::uint64_t count = below(10); count > 0; --count) {
            marks_.add({any<std::uint32_t>(), time()});
        }
        event.view.marks = &marks_;
    }
    event.changed.bits = static_cast<std::uint8_t>(below(256));
    if (maybe()) {
        event.delta = CounterDelta{{any<std::uint64_t>(), any<std::uint64_t>()},
                                   {any<std::uint64_t>(), any<std::uint64_t>()},
                                   nanoseconds(any<std::int64_t>())};
    }
    event.end.reason = static_cast<EndReason>(below(7));
    event.end.outcome = static_cast<Outcome>(below(3));
    event.end.ended = perhaps(time());
    event.end.window = perhaps(TimeWindow{time(), time()});
    event.end.deleted_by = perhaps(any<std::uint32_t>());
    return event;
}

Event RandomEvents::expectation_event() {
    const Family family = maybe() ? Family::ipv4 : Family::ipv6;
    expectation_ = ExpectationMessage{};
    expectation_.expected = random_tuple(family, protocol());
    expectation_.mask = random_tuple(family, expectation_.expected.protocol);
    if (maybe()) {
        expectation_.mask.source.bytes.fill(0xff);
        expectation_.mask.destination.bytes.fill(0xff);
        expectation_.mask.source_port = maybe() ? 0xffff : 0;
        expectation_.mask.destination_port = 0xffff;
    }
    expectation_.master = random_tuple(family, protocol());
    expectation_.zone = {any<std::uint16_t>(), ZoneDirection::both};
    expectation_.id = any<std::uint32_t>();
    expectation_.timeout_s = perhaps(any<std::uint32_t>());
    expectation_.flags = perhaps(any<std::uint32_t>());
    expectation_.expectation_class = perhaps(any<std::uint32_t>());
    expectation_.helper = perhaps(HelperName(bytes(HelperName::longest)));
    ExpectationEvent event;
    event.action = static_cast<ExpectationAction>(below(3));
    event.at = time();
    event.expectation = &expectation_;
    event.lineage = lineage();
    event.child = maybe() ? uid() : FlowUid{};
    return event;
}

PacketHeaders RandomEvents::headers(Family family) {
    PacketHeaders headers;
    headers.tuple = random_tuple(family, protocol());
    headers.whole = maybe();
    headers.length = any<std::uint32_t>();
    headers.tcp_flags = perhaps(TcpFlags{any<std::uint8_t>()});
    return headers;
}

PacketMessage RandomEvents::packet() {
    const Family family = maybe() ? Family::ipv4 : Family::ipv6;
    PacketMessage packet;
    packet.headers = headers(family);
    packet.about = perhaps(headers(family));
    packet.hook = perhaps(static_cast<PacketHook>(below(5)));
    packet.prefix = LogPrefix(bytes(LogPrefix::longest));
    return packet;
}

Event RandomEvents::packet_event() {
    packet_ = packet();
    refused_ = packet();
    for (std::string& name : names_) {
        name = bytes(15);
    }
    PacketEvent event;
    event.action = static_cast<PacketAction>(below(5));
    event.at = time();
    event.packet = &packet_;
    event.in = names_[0];
    event.out = names_[1];
    event.state = perhaps(static_cast<PacketState>(below(5)));
    event.direction = perhaps(static_cast<PacketDirection>(below(2)));
    event.uid = maybe() ? uid() : FlowUid{};
    event.id = perhaps(any<std::uint32_t>());
    event.id_from = perhaps(static_cast<FlowIdSource>(below(3)));
    event.zone = {any<std::uint16_t>(), static_cast<ZoneDirection>(below(3))};
    event.mark = perhaps(any<std::uint32_t>());
    event.unconfirmed = maybe();
    event.refused = perhaps(RefusedPacket{&refused_, time(), names_[2], names_[3]});
    return event;
}

Event RandomEvents::loss_event() {
    LossEvent event;
    event.at = time();
    event.place = static_cast<LossPlace>(below(4));
    event.source = static_cast<LossSource>(below(2));
    event.count = perhaps(any<std::uint64_t>());
    event.first_sequence = perhaps(any<std::uint64_t>());
    event.last_sequence = perhaps(any<std::uint64_t>());
    event.since = perhaps(time());
    event.until = perhaps(time());
    event.detail = bytes(60);
    return event;
}

MonitorCounters RandomEvents::counters() {
    return {
        {"lines", any<std::uint64_t>()}, {"bytes", any<std::uint64_t>()}, {"events", any<std::uint64_t>()}};
}

Event RandomEvents::monitor_event() {
    MonitorEvent event;
    event.at = time();
    switch (below(6)) {
        case 0:
            event.what = MonitorStart{
                "0.1.0",
                any<std::uint64_t>(),
                perhaps(any<std::uint64_t>()),
                static_cast<StartState>(below(3)),
                bytes(20),
                perhaps(any<std::uint32_t>()),
                perhaps(any<std::uint32_t>()),
                perhaps(any<std::uint32_t>()),
                perhaps(any<std::uint64_t>()),
                maybe() ? std::vector<std::string>{"udp", bytes(40)} : std::vector<std::string>{},
                maybe() ? std::vector<std::string>{bytes(40), bytes(40)} : std::vector<std::string>{}};
            break;
        case 1:
            event.what = MonitorReload{maybe(), {"output.updates"}, {bytes(20)}, bytes(50)};
            break;
        case 2:
            event.what = MonitorStop{"SIGTERM", counters()};
            break;
        case 3:
            event.what = MonitorStats{nanoseconds(any<std::int64_t>()), counters()};
            break;
        case 4:
            event.what = MonitorWarning{"table-full", bytes(80)};
            break;
        default:
            event.what = ResyncCompleted{static_cast<ReconcileCause>(below(4)),
                                         any<std::uint64_t>(),
                                         any<std::uint64_t>(),
                                         any<std::uint64_t>(),
                                         any<std::uint64_t>(),
                                         nanoseconds(any<std::int64_t>())};
    }
    return event;
}

Event RandomEvents::next() {
    switch (below(9)) {
        case 0:
            return monitor_event();
        case 1:
            return loss_event();
        case 2:
            return expectation_event();
        case 3:
            return packet_event();
        default:
            return flow_event();
    }
}

LineEncoderSettings RandomEvents::settings() {
    LineEncoderSettings settings;
    settings.run = any<std::uint64_t>();
    settings.host_name = "fw" + bytes(20);
    settings.fields = {{"labels.site", bytes(20)}, {"host.ip", "192.0.2.1"}, {"service.node.name", bytes(5)}};
    for (unsigned bit = 0; bit < 128; ++bit) {
        if (maybe()) {
            settings.label_names[bit] = bytes(12);
        }
    }
    return settings;
}

}  // namespace flowkin::samples
