// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <spdlog/sinks/base_sink.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace flowkin {

/// Diagnostics to standard error, or to the journal by a stream of their own (sd_journal_stream_fd(3)).
///
/// It waits for nobody: what is not taken at once is dropped, and how much was is said with the next line that is
/// taken.
///
/// The standard error that a unit starts with is the very socket that its standard output is. Written there, a
/// diagnostic would fall into a line that is half written. Where the journal closed its stream, which it does when it
/// is stopped, a new one is opened.
class DiagnosticStream final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    enum class To : std::uint8_t { standard_error, journal };
    explicit DiagnosticStream(To to);

  private:
    enum class Outcome : std::uint8_t { written, full, broken };

    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override {}

    std::string formatted(const spdlog::details::log_msg& message);
    void say_dropped();
    Outcome write(std::string_view line);

    const To to_;
    UniqueFd stream_;
    std::uint64_t dropped_ = 0;
};

}  // namespace flowkin
