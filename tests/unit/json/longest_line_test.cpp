// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "sample.hpp"

// No line is longer than 4,095 bytes, newline included: tried on events that are as long as any can be.
namespace flowkin {
namespace {

using nlohmann::json;
using samples::FlowSample;
using samples::line_of;

constexpr std::size_t line_longest = 4095;
constexpr std::uint64_t most = UINT64_MAX;
constexpr const char* longest_address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0";

/// Static fields that take all the room they may.
LineEncoderSettings full_settings() {
    LineEncoderSettings settings;
    settings.run = most;
    settings.host_name = "fw1";
    const std::size_t around = std::string(R"("host":{"name":"fw1"},"labels":{"site":""},)").size();
    settings.fields["labels.site"] = std::string(LineEncoder::static_bytes_limit - around, 's');
    settings.label_names[0] = std::string(12, 'n');  // fills the list to its limit beside 127 numbers
    settings.label_names[1] = std::string(1000, '\x01');
    return settings;
}

LineEncoder full_encoder() {
    return *LineEncoder::create(full_settings());
}

HelperName longest_helper() {
    return HelperName(std::string(HelperName::longest, '\x01'));
}

void fill(FlowSample& sample, FlowAction action, Protocol protocol, bool known_parent) {
    Flow& flow = sample.flow;
    flow.key.original = samples::tuple(protocol, longest_address, 0xffff, longest_address, 0xffff);
    flow.key.zone = {0xffff, ZoneDirection::original};
    flow.mark_origin = MarkOrigin::inherited;
    flow.protocol_state = protocol == Protocol::sctp ? 7 : 3;
    flow.kernel_id = flow.mark = flow.mark_previous = flow.mark_changes = flow.timeout_s = 0xffffffff;
    flow.status.bits = 0xffffffff;
    flow.uid = {most, most};
    flow.started = WallTime::min();
    flow.original_counters = flow.reply_counters = {most, most};
    flow.gaps.bits = 0xff;
    flow.has_kernel_id = flow.has_start = flow.has_counters = flow.has_timeout = true;

    sample.reply = samples::tuple(protocol, "fff0:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0xfffe,
                                  "fff0:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0xfffd);
    sample.with_reply();
    Lineage& lineage = sample.lineage;
    lineage.parent = known_parent ? FlowUid{most, most} : FlowUid{};
    lineage.parent_tuple =
        samples::tuple(Protocol::udplite, longest_address, 0xffff, longest_address, 0xffff);
    lineage.parent_kernel_id = 0xffffffff;
    lineage.parent_has_kernel_id = true;
    lineage.parent_helper = longest_helper();
    lineage.root = lineage.parent;
    lineage.depth = 0xffffffff;
    sample.with_lineage();
    sample.tags.helper = longest_helper();
    sample.tags.labels.bytes.fill(0xff);
    sample.with_tags();
    for (std::size_t entry = 0; entry < MarkHistory::longest; ++entry) {
        sample.marks.add({0xffffffff, WallTime::max()});
    }
    sample.with_marks();

    FlowEvent& event = sample.event;
    event.action = action;
    event.observed = Observed::reconcile;
    event.changed.bits = 0xff;
    event.delta = CounterDelta{{most, most}, {most, most}, nanoseconds::min()};
    event.end.reason = EndReason::tcp_close;
    event.end.outcome = Outcome::unknown;
    event.end.ended = WallTime::max();
    event.end.window = {WallTime::min(), WallTime::max()};
    event.end.deleted_by = 0xffffffff;
}

TEST_CASE("the longest record of a flow fits a line") {
    LineEncoder encoder = full_encoder();
    std::size_t longest = 0;
    for (unsigned action = 0; action < 6; ++action) {
        for (unsigned protocol = 0; protocol < 256; ++protocol) {
            for (const bool known_parent : {false, true}) {
                FlowSample sample;
                fill(sample, static_cast<FlowAction>(action), static_cast<Protocol>(protocol), known_parent);
                const std::string line = line_of(encoder, sample.event, most);
                INFO(line);
                REQUIRE(json::accept(line));
                longest = std::max(longest, line.size() + 1);
            }
        }
    }
    CHECK(longest <= line_longest);
    // Nor is room for static fields given away.
    CHECK(longest > line_longest - 16);
}

TEST_CASE("the longest record of an expectation fits a line") {
    LineEncoder encoder = full_encoder();
    ExpectationMessage expectation;
    expectation.expected =
        samples::tuple(Protocol::udplite, longest_address, 0xffff, longest_address, 0xffff);
    expectation.mask = expectation.expected;
    expectation.mask.source.bytes.fill(0xff);
    expectation.mask.destination.bytes.fill(0xff);
    expectation.master = expectation.expected;
    expectation.zone = {0xffff, ZoneDirection::original};
    expectation.id = 0xffffffff;
    expectation.timeout_s = expectation.flags = expectation.expectation_class = 0xffffffff;
    expectation.helper = longest_helper();
    ExpectationEvent event;
    event.action = ExpectationAction::fulfilled;
    event.expectation = &expectation;
    event.child = event.lineage.parent = event.lineage.root = {most, most};
    event.lineage.parent_has_kernel_id = true;
    event.lineage.parent_helper = longest_helper();
    const std::string line = line_of(encoder, event, most);
    CHECK(json::accept(line));
    CHECK(line.size() < line_longest);
}

TEST_CASE("the longest record of a packet fits a line") {
    LineEncoder encoder = full_encoder();
    std::size_t longest = 0;
    for (const char prefix : {'\x01', '"', '\xff', 'p'}) {
        for (unsigned protocol = 0; protocol < 256; ++protocol) {
            const std::string name(15, '\x01');
            PacketMessage packet;
            packet.headers.tuple = samples::tuple(static_cast<Protocol>(protocol), longest_address, 0xffff,
                                                  longest_address, 0xffff);
            packet.headers.whole = true;
            packet.headers.length = 0xffffffff;
            packet.headers.tcp_flags = TcpFlags{0xff};
            packet.hook = PacketHook::postrouting;
            packet.prefix = LogPrefix(std::string(LogPrefix::longest, prefix));
            packet.about = packet.headers;
            PacketEvent event;
            event.action = PacketAction::rejected;
            event.at = WallTime::min();
            event.packet = &packet;
            event.in = event.out = name;
            event.state = PacketState::established;
            event.direction = PacketDirection::original;
            event.uid = {most, most};
            event.id = event.mark = 0xffffffff;
            event.id_from = FlowIdSource::tuple;
            event.zone = {0xffff, ZoneDirection::original};
            event.unconfirmed = true;
            event.refused = RefusedPacket{&packet, WallTime::max(), name, name};
            const std::string line = line_of(encoder, event, most);
            INFO(line);
            REQUIRE(json::accept(line));
            longest = std::max(longest, line.size() + 1);
        }
    }
    CHECK(longest <= line_longest);
}

TEST_CASE("a record of flowkin itself that is too long is shortened and says so") {
    LineEncoder encoder = full_encoder();
    MonitorStart start;
    start.version = "1";
    start.warnings.assign(200, std::string(5000, '\x02'));
    MonitorStats stats;
    for (int counter = 0; counter < 500; ++counter) {
        stats.counters.emplace_back("counter_" + std::to_string(counter), most);
    }
    for (const MonitorEvent& event : {MonitorEvent{{}, start}, MonitorEvent{{}, stats},
                                      MonitorEvent{{}, MonitorStop{"SIGTERM", stats.counters}},
                                      MonitorEvent{{}, MonitorWarning{"code", std::string(9000, '\xff')}}}) {
        const std::string line = line_of(encoder, event, most);
        CHECK(line.size() < line_longest);
        CHECK(json::parse(line)["conntrack"]["monitor"]["shortened"] == true);
    }
    LossEvent loss;
    loss.detail = std::string(100'000, '"');
    const json line = json::parse(line_of(encoder, loss, most));
    CHECK(line["conntrack"]["loss"]["where"] == "kernel-socket");
    CHECK(line["conntrack"]["loss"]["shortened"] == true);
}

TEST_CASE("a record that fits to the byte is left as it is") {
    LineEncoder encoder = full_encoder();
    MonitorWarning warning{"code", ""};
    const std::size_t around = line_of(encoder, MonitorEvent{{}, warning}, 1).size();
    warning.text.assign(4094 - around, 'w');
    const std::string whole = line_of(encoder, MonitorEvent{{}, warning}, 1);
    CHECK(whole.size() == 4094);
    CHECK(json::parse(whole)["conntrack"]["monitor"]["text"] == warning.text);
    warning.text += 'w';
    CHECK(json::parse(line_of(encoder, MonitorEvent{{}, warning}, 1))["conntrack"]["monitor"].contains(
        "shortened"));
}

}  // namespace
}  // namespace flowkin
