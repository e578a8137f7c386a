// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <spdlog/sinks/base_sink.h>

#include <mutex>

#include "base/unique_fd.hpp"

namespace flowkin {

/// Diagnostics to the journal by a stream of their own (sd_journal_stream_fd(3)).
///
/// The standard error that a unit starts with is the very socket that its standard output is. Written there, a diagnostic
/// would fall into a line that is half written, and would wait for a journal that hangs. Here it waits for nobody: where
/// the journal takes no more, the diagnostic is dropped. Where the journal closed the stream, which it does when it is
/// stopped, a new one is opened.
class JournalStream final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    JournalStream();

  private:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override {}

    UniqueFd stream_;
};

}  // namespace flowkin
