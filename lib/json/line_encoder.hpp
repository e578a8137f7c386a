// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/line_batch.hpp"
#include "base/result.hpp"
#include "flow/event.hpp"

namespace flowkin {

/// A static field of every line, from [output.fields]: a dotted path and a string.
using StaticFields = std::map<std::string, std::string>;

struct LineEncoderSettings {
    RunId run = 0;
    std::string host_name;
    StaticFields fields;
    std::map<unsigned, std::string>
        label_names;  ///< from connlabel.conf; a bit without a name is written as number
};

struct Fragments;

/// Events to lines, as docs/event-format.md says. The only place that knows a field's name.
///
/// Flow, packet and expectation records are appended to the batch without a copy and without taking memory;
/// the rare records go through nlohmann_json. Every line ends with a newline and, newline included, is at
/// most 4,095 bytes, whatever the event holds.
class LineEncoder {
  public:
    /// The most that the host name and all static fields may come to, as JSON: what the longest record
    /// leaves.
    static constexpr std::size_t static_bytes_limit = 896;

    /// Fails (Fault::configuration) where a static field collides with a field of ours or with a top-level
    /// key that shippers own, or where they are too long together.
    static Result<LineEncoder> create(const LineEncoderSettings& settings);
    LineEncoder(LineEncoder&&) noexcept;
    LineEncoder& operator=(LineEncoder&&) noexcept;
    ~LineEncoder();

    /// Appends the event's line to the batch, with `sequence` as its event.sequence.
    void encode(const Event& event, std::uint64_t sequence, LineBatch& batch);

    /// Appends a flow of the table as it stands, for whoever asks and not for the log: the members of a flow
    /// record but for those that tell of an event, with no sequence (the batch's is 0).
    void list(const FlowView& flow, LineBatch& batch);

  private:
    explicit LineEncoder(std::unique_ptr<Fragments> fragments);
    std::unique_ptr<Fragments> fragments_;
};

}  // namespace flowkin
