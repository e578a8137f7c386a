// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>

#include "sample.hpp"

// The examples of docs/event-format.md, byte for byte.
namespace flowkin {
namespace {

using samples::FlowSample;
using samples::line_of;
using samples::tuple;

constexpr RunId run = 0x5f3a9c1e7b42d010;

LineEncoder encoder() {
    return *LineEncoder::create({run, "fw1", {}, {}});
}

void make_ftp_child(FlowSample& sample) {
    Flow& flow = sample.flow;
    flow.key.original = tuple(Protocol::tcp, "192.168.10.20", 40314, "203.0.113.50", 50021);
    flow.uid = {run, 0x1a7};
    flow.kernel_id = 990143872;
    flow.has_kernel_id = true;
    sample.reply = tuple(Protocol::tcp, "203.0.113.50", 50021, "198.51.100.7", 40314);
    sample.with_reply();
    sample.lineage.parent = sample.lineage.root = {run, 0x1a2};
    sample.lineage.parent_tuple = tuple(Protocol::tcp, "192.168.10.20", 40312, "203.0.113.50", 21);
    sample.lineage.parent_kernel_id = 2840116531;
    sample.lineage.parent_has_kernel_id = true;
    sample.lineage.parent_helper = HelperName("ftp");
    sample.lineage.depth = 1;
    sample.with_lineage();
}

std::uint32_t status(std::initializer_list<StatusBit> set) {
    std::uint32_t bits = 0;
    for (const StatusBit bit : set) {
        bits |= 1U << static_cast<unsigned>(bit);
    }
    return bits;
}

TEST_CASE("a flow's start reads as the example says") {
    FlowSample sample;
    Flow& flow = sample.flow;
    flow.key.original = tuple(Protocol::tcp, "192.168.10.20", 40312, "203.0.113.50", 21);
    flow.uid = {run, 0x1a2};
    flow.kernel_id = 2840116531;
    flow.has_kernel_id = true;
    flow.mark = 17;
    flow.mark_origin = MarkOrigin::rule;
    flow.status.bits = status({StatusBit::confirmed, StatusBit::helper});
    flow.protocol_state = static_cast<std::uint8_t>(TcpState::syn_sent);
    flow.timeout_s = 120;
    flow.has_timeout = true;
    flow.started = samples::time("2026-11-23T09:15:02.123456789Z");
    flow.has_start = true;
    sample.tags.helper = HelperName("ftp");
    sample.with_tags();
    sample.event.at = flow.started;
    LineEncoder lines = encoder();
    CHECK(line_of(lines, sample.event, 1402) ==
          R"({"@timestamp":"2026-11-23T09:15:02.123456789Z")"
          R"(,"event":{"id":"5f3a9c1e7b42d010000000000000057a","sequence":1402)"
          R"(,"module":"flowkin","dataset":"flowkin.flow","kind":"event")"
          R"(,"category":["network"],"type":["connection","start"],"action":"flow-start"})"
          R"(,"ecs":{"version":"8.17.0"},"host":{"name":"fw1"})"
          R"(,"network":{"type":"ipv4","transport":"tcp","iana_number":"6")"
          R"(,"community_id":"1:fVMrrap6O7mgLfdaZEwEkvkY6y0="})"
          R"(,"source":{"ip":"192.168.10.20","port":40312})"
          R"(,"destination":{"ip":"203.0.113.50","port":21})"
          R"(,"conntrack":{"uid":"5f3a9c1e7b42d01000000000000001a2","id":2840116531,"mark":17)"
          R"(,"mark_origin":"rule","status":["confirmed","helper"],"tcp":{"state":"SYN_SENT"})"
          R"(,"helper":"ftp","timeout":120,"observed":"event"}})");
}

TEST_CASE("a child's start reads as the example says") {
    FlowSample sample;
    make_ftp_child(sample);
    sample.flow.mark = 17;
    sample.flow.mark_origin = MarkOrigin::inherited;
    sample.flow.status.bits = status({StatusBit::expected, StatusBit::confirmed, StatusBit::snat,
                                      StatusBit::snat_done, StatusBit::dnat_done});
    sample.flow.protocol_state = static_cast<std::uint8_t>(TcpState::syn_sent);
    sample.flow.timeout_s = 120;
    sample.flow.has_timeout = true;
    sample.event.at = samples::time("2026-11-23T09:15:07.612004417Z");
    LineEncoder lines = encoder();
    CHECK(line_of(lines, sample.event, 1408) ==
          R"({"@timestamp":"2026-11-23T09:15:07.612004417Z")"
          R"(,"event":{"id":"5f3a9c1e7b42d0100000000000000580","sequence":1408)"
          R"(,"module":"flowkin","dataset":"flowkin.flow","kind":"event")"
          R"(,"category":["network"],"type":["connection","start"],"action":"flow-start"})"
          R"(,"ecs":{"version":"8.17.0"},"host":{"name":"fw1"})"
          R"(,"network":{"type":"ipv4","transport":"tcp","iana_number":"6")"
          R"(,"community_id":"1:hggek9pOhdwmeMvJtKyBzeKOsnc="})"
          R"(,"source":{"ip":"192.168.10.20","port":40314,"nat":{"ip":"198.51.100.7","port":40314}})"
          R"(,"destination":{"ip":"203.0.113.50","port":50021})"
          R"(,"conntrack":{"uid":"5f3a9c1e7b42d01000000000000001a7","id":990143872,"mark":17)"
          R"(,"mark_origin":"inherited","status":["expected","confirmed","snat"])"
          R"(,"tcp":{"state":"SYN_SENT"},"timeout":120)"
          R"(,"parent":{"uid":"5f3a9c1e7b42d01000000000000001a2","id":2840116531,"helper":"ftp"})"
          R"(,"lineage":{"root":"5f3a9c1e7b42d01000000000000001a2","depth":1})"
          R"(,"reply":{"community_id":"1:WNgcs2/MV1755jUjDxA40TJY+ZU="},"observed":"event"}})");
}

TEST_CASE("a child's end reads as the example says") {
    FlowSample sample;
    make_ftp_child(sample);
    Flow& flow = sample.flow;
    flow.mark = 42;
    flow.mark_origin = MarkOrigin::diverged;
    flow.mark_previous = 17;
    flow.mark_changes = 1;
    flow.status.bits = status({StatusBit::expected, StatusBit::seen_reply, StatusBit::assured,
                               StatusBit::confirmed, StatusBit::snat, StatusBit::dying});
    flow.protocol_state = static_cast<std::uint8_t>(TcpState::time_wait);
    flow.timeout_s = 119;
    flow.has_timeout = true;
    flow.started = samples::time("2026-11-23T09:15:07.612004417Z");
    flow.has_start = true;
    flow.original_counters = {206511, 12390660};
    flow.reply_counters = {412990, 602965400};
    flow.has_counters = true;
    sample.event.action = FlowAction::end;
    sample.event.at = samples::time("2026-11-23T09:20:14.880500250Z");
    sample.event.end.reason = EndReason::tcp_close;
    sample.event.end.outcome = Outcome::success;
    sample.event.end.ended = samples::time("2026-11-23T09:20:14.880412003Z");
    LineEncoder lines = encoder();
    CHECK(line_of(lines, sample.event, 1411) ==
          R"({"@timestamp":"2026-11-23T09:20:14.880500250Z")"
          R"(,"event":{"id":"5f3a9c1e7b42d0100000000000000583","sequence":1411)"
          R"(,"module":"flowkin","dataset":"flowkin.flow","kind":"event")"
          R"(,"category":["network"],"type":["connection","end"],"action":"flow-end")"
          R"(,"reason":"tcp-close")"
          R"(,"outcome":"success","start":"2026-11-23T09:15:07.612004417Z")"
          R"(,"end":"2026-11-23T09:20:14.880412003Z","duration":307268407586})"
          R"(,"ecs":{"version":"8.17.0"},"host":{"name":"fw1"})"
          R"(,"network":{"type":"ipv4","transport":"tcp","iana_number":"6")"
          R"(,"community_id":"1:hggek9pOhdwmeMvJtKyBzeKOsnc=","packets":619501,"bytes":615356060})"
          R"(,"source":{"ip":"192.168.10.20","port":40314,"packets":206511,"bytes":12390660)"
          R"(,"nat":{"ip":"198.51.100.7","port":40314}})"
          R"(,"destination":{"ip":"203.0.113.50","port":50021,"packets":412990,"bytes":602965400})"
          R"(,"conntrack":{"uid":"5f3a9c1e7b42d01000000000000001a7","id":990143872,"mark":42)"
          R"(,"mark_origin":"diverged","mark_previous":17,"mark_changes":1,"status":["expected")"
          R"(,"seen_reply","assured","confirmed","snat","dying"],"tcp":{"state":"TIME_WAIT"})"
          R"(,"parent":{"uid":"5f3a9c1e7b42d01000000000000001a2","id":2840116531,"helper":"ftp"})"
          R"(,"lineage":{"root":"5f3a9c1e7b42d01000000000000001a2","depth":1})"
          R"(,"reply":{"community_id":"1:WNgcs2/MV1755jUjDxA40TJY+ZU="},"observed":"event"}})");
}

TEST_CASE("an expectation that is fulfilled reads as the example says") {
    ExpectationMessage ftp;
    ftp.expected = tuple(Protocol::tcp, "192.168.10.20", 0, "203.0.113.50", 50021);
    ftp.mask.source.bytes = ftp.mask.destination.bytes = {0xff, 0xff, 0xff, 0xff};
    ftp.mask.destination_port = 0xffff;
    ftp.master = tuple(Protocol::tcp, "192.168.10.20", 40312, "203.0.113.50", 21);
    ftp.id = 1204982873;
    ftp.timeout_s = 300;
    ftp.flags = 0;
    ftp.expectation_class = 0;
    ftp.helper = HelperName("ftp");
    ExpectationEvent event;
    event.action = ExpectationAction::fulfilled;
    event.at = samples::time("2026-11-23T09:15:07.612004417Z");
    event.expectation = &ftp;
    event.child = {run, 0x1a7};
    event.lineage.parent = event.lineage.root = {run, 0x1a2};
    event.lineage.parent_kernel_id = 2840116531;
    event.lineage.parent_has_kernel_id = true;
    event.lineage.parent_helper = HelperName("ftp");
    event.lineage.depth = 1;
    LineEncoder lines = encoder();
    CHECK(line_of(lines, event, 1409) ==
          R"({"@timestamp":"2026-11-23T09:15:07.612004417Z")"
          R"(,"event":{"id":"5f3a9c1e7b42d0100000000000000581","sequence":1409)"
          R"(,"module":"flowkin","dataset":"flowkin.expectation","kind":"event")"
          R"(,"category":["network"],"type":["connection","info"],"action":"expectation-fulfilled"})"
          R"(,"ecs":{"version":"8.17.0"},"host":{"name":"fw1"})"
          R"(,"network":{"type":"ipv4","transport":"tcp","iana_number":"6"})"
          R"(,"source":{"ip":"192.168.10.20"})"
          R"(,"destination":{"ip":"203.0.113.50","port":50021})"
          R"(,"conntrack":{"expectation":{"id":1204982873,"timeout":300,"class":0,"helper":"ftp")"
          R"(,"child":"5f3a9c1e7b42d01000000000000001a7"})"
          R"(,"parent":{"uid":"5f3a9c1e7b42d01000000000000001a2","id":2840116531,"helper":"ftp"})"
          R"(,"lineage":{"root":"5f3a9c1e7b42d01000000000000001a2","depth":1}}})");
}

TEST_CASE("the answer of a REJECT rule to a first SYN reads as the example says") {
    PacketMessage packet;
    packet.headers.tuple = tuple(Protocol::tcp, "203.0.113.50", 23, "192.168.10.20", 40400);
    packet.headers.whole = true;
    packet.headers.length = 40;
    packet.headers.tcp_flags = TcpFlags{0x14};
    packet.hook = PacketHook::output;
    packet.prefix = LogPrefix("reject");
    PacketEvent event;
    event.action = PacketAction::rejected;
    event.at = samples::time("2026-11-23T09:21:00.000412003Z");
    event.packet = &packet;
    event.out = "eth1";
    event.state = PacketState::related;
    event.direction = PacketDirection::reply;
    event.id = 2296400776;
    event.id_from = FlowIdSource::ct;
    event.mark = 0;
    event.unconfirmed = true;
    LineEncoder lines = encoder();
    const std::string line = line_of(lines, event, 1432);
    CHECK(line.size() == 736);
    CHECK(line == R"({"@timestamp":"2026-11-23T09:21:00.000412003Z")"
                  R"(,"event":{"id":"5f3a9c1e7b42d0100000000000000598","sequence":1432)"
                  R"(,"module":"flowkin","dataset":"flowkin.packet","kind":"event")"
                  R"(,"category":["network"],"type":["connection","denied"],"action":"packet-rejected")"
                  R"(,"outcome":"failure"})"
                  R"(,"ecs":{"version":"8.17.0"},"host":{"name":"fw1"})"
                  R"(,"network":{"type":"ipv4","transport":"tcp","iana_number":"6")"
                  R"(,"community_id":"1:cgfJ9T+kBtGANyxFTJIgl6V4TqU="})"
                  R"(,"source":{"ip":"203.0.113.50","port":23})"
                  R"(,"destination":{"ip":"192.168.10.20","port":40400})"
                  R"(,"conntrack":{"id":2296400776,"confirmed":false,"mark":0)"
                  R"(,"packet":{"state":"related","direction":"reply","hook":"output","prefix":"reject")"
                  R"(,"out":"eth1","tcp_flags":["rst","ack"],"length":40,"flow_id_from":"ct"}}})");
}

TEST_CASE("events that the kernel dropped read as the example says") {
    LossEvent loss;
    loss.at = samples::time("2026-11-23T09:30:01.000000000Z");
    loss.count = 18231;
    loss.since = samples::time("2026-11-23T09:30:00.412000000Z");
    loss.until = samples::time("2026-11-23T09:30:00.977000000Z");
    LineEncoder lines = encoder();
    CHECK(line_of(lines, loss, 1500) ==
          R"({"@timestamp":"2026-11-23T09:30:01.000000000Z")"
          R"(,"event":{"id":"5f3a9c1e7b42d01000000000000005dc","sequence":1500)"
          R"(,"module":"flowkin","dataset":"flowkin.loss","kind":"pipeline_error")"
          R"(,"type":["info"],"action":"events-lost"})"
          R"(,"ecs":{"version":"8.17.0"},"host":{"name":"fw1"})"
          R"(,"conntrack":{"loss":{"where":"kernel-socket","count":18231)"
          R"(,"since":"2026-11-23T09:30:00.412000000Z","until":"2026-11-23T09:30:00.977000000Z"}}})");
}

TEST_CASE("a flow that a reconcile ends reads as the example says") {
    FlowSample sample;
    Flow& flow = sample.flow;
    flow.key.original = tuple(Protocol::udp, "2001:db8::20", 5353, "2001:db8::53", 53);
    flow.uid = {run, 0x1b0};
    flow.kernel_id = 77120034;
    flow.has_kernel_id = true;
    flow.status.bits = status({StatusBit::seen_reply, StatusBit::confirmed});
    flow.started = samples::time("2026-11-23T09:28:00.000000000Z");
    flow.has_start = true;
    flow.gaps.add(Gap::end_time_unknown);
    sample.event.action = FlowAction::end;
    sample.event.observed = Observed::reconcile;
    sample.event.at = samples::time("2026-11-23T09:30:01.200000000Z");
    sample.event.end.reason = EndReason::vanished;
    sample.event.end.outcome = Outcome::success;
    sample.event.end.window = {samples::time("2026-11-23T09:30:00.412000000Z"), sample.event.at};
    LineEncoder lines = encoder();
    CHECK(line_of(lines, sample.event, 1501) ==
          R"({"@timestamp":"2026-11-23T09:30:01.200000000Z")"
          R"(,"event":{"id":"5f3a9c1e7b42d01000000000000005dd","sequence":1501)"
          R"(,"module":"flowkin","dataset":"flowkin.flow","kind":"event")"
          R"(,"category":["network"],"type":["connection","end"],"action":"flow-end")"
          R"(,"reason":"vanished")"
          R"(,"outcome":"success","start":"2026-11-23T09:28:00.000000000Z"})"
          R"(,"ecs":{"version":"8.17.0"},"host":{"name":"fw1"})"
          R"(,"network":{"type":"ipv6","transport":"udp","iana_number":"17")"
          R"(,"community_id":"1:/czo9WugFUslH9MYSVBwN/1QCI8="})"
          R"(,"source":{"ip":"2001:db8::20","port":5353})"
          R"(,"destination":{"ip":"2001:db8::53","port":53})"
          R"(,"conntrack":{"uid":"5f3a9c1e7b42d01000000000000001b0","id":77120034,"mark":0)"
          R"(,"status":["seen_reply","confirmed"],"observed":"reconcile","gaps":["end-time-unknown"])"
          R"(,"end_window":["2026-11-23T09:30:00.412000000Z","2026-11-23T09:30:01.200000000Z"]}})");
}

}  // namespace
}  // namespace flowkin
