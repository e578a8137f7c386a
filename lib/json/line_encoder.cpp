// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/line_encoder.hpp"

#include <cassert>

#include "json/fragments.hpp"
#include "json/static_fields.hpp"

namespace flowkin {
namespace {

/// No line is longer, its newline included, because each part of a line has a longest form. The longest line
/// of all is a flow-end with everything that can stand on one, every number and word at its longest (GRE over
/// IPv6 with NAT):
///
///   @timestamp, ecs              73     network               169
///   host and static fields      896     source, destination   347
///   event                       363     braces, newline         3
///   conntrack                  2235: labels 426, marks 498, parent and lineage 243, delta 185, status 163,
///                                    gaps 122, reply 109, helper 102 (15 bytes, each of which may become
///                                    six), the rest 387
///
/// That is 4,086 (tests/unit/json/longest_line_test.cpp makes it). Records that nlohmann_json makes are cut
/// to fit.
[[maybe_unused]] constexpr std::size_t line_longest = 4095;
constexpr std::size_t line_room = 4096;

}  // namespace

Result<LineEncoder> LineEncoder::create(const LineEncoderSettings& settings) {
    const auto members = static_members(settings.host_name, settings.fields);
    if (!members) {
        return tl::unexpected(members.error());
    }
    return LineEncoder(std::make_unique<Fragments>(settings, *members));
}

LineEncoder::LineEncoder(std::unique_ptr<Fragments> fragments) : fragments_(std::move(fragments)) {}
LineEncoder::LineEncoder(LineEncoder&&) noexcept = default;
LineEncoder& LineEncoder::operator=(LineEncoder&&) noexcept = default;
LineEncoder::~LineEncoder() = default;

void LineEncoder::encode(const Event& event, std::uint64_t sequence, LineBatch& batch) {
    LineWriter line(batch.reserve(line_room), fragments_->timestamps);
    if (const auto* flow = std::get_if<FlowEvent>(&event)) {
        put_flow_line(line, *fragments_, *flow, sequence);
    } else if (const auto* expectation = std::get_if<ExpectationEvent>(&event)) {
        put_expectation_line(line, *fragments_, *expectation, sequence);
    } else if (const auto* packet = std::get_if<PacketEvent>(&event)) {
        put_packet_line(line, *fragments_, *packet, sequence);
    } else if (const auto* loss = std::get_if<LossEvent>(&event)) {
        put_loss_line(line, *fragments_, *loss, sequence);
    } else {
        put_monitor_line(line, *fragments_, std::get<MonitorEvent>(event), sequence);
    }
    line.put('\n');
    assert(line.length() <= line_longest);
    batch.commit(line.length(), sequence);
}

void LineEncoder::list(const FlowView& flow, LineBatch& batch) {
    LineWriter line(batch.reserve(line_room), fragments_->timestamps);
    put_listed_flow(line, *fragments_, flow);
    line.put('\n');
    assert(line.length() <= line_longest);
    batch.commit(line.length(), 0);
}

}  // namespace flowkin
