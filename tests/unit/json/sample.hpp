// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

#include "flow/event.hpp"
#include "json/line_encoder.hpp"

/// Events to encode, and the texts that tests make of them.
namespace flowkin::samples {

Address address(const char* text);
Tuple tuple(Protocol protocol, const char* source, std::uint16_t source_port, const char* destination,
            std::uint16_t destination_port);

/// "2026-11-23T09:15:02.123456789Z"
WallTime time(const std::string& text);

/// Owns all that a flow's event points to.
struct FlowSample {
    Flow flow;
    Tuple reply;
    Lineage lineage;
    Tags tags;
    MarkHistory marks;
    FlowEvent event;

    FlowSample() { event.view.flow = &flow; }
    FlowSample(const FlowSample&) = delete;
    FlowSample& operator=(const FlowSample&) = delete;
    void with_reply() { event.view.reply = &reply; }
    void with_lineage() { event.view.lineage = &lineage; }
    void with_tags() { event.view.tags = &tags; }
    void with_marks() { event.view.marks = &marks; }
};

/// The event's line, its newline cut off.
std::string line_of(LineEncoder& encoder, const Event& event, std::uint64_t sequence);

}  // namespace flowkin::samples
