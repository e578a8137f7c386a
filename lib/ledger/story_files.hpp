// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <iosfwd>
#include <span>
#include <string>

#include "base/result.hpp"
#include "ledger/story_question.hpp"

namespace flowkin {

enum class StoryForm : std::uint8_t {
    plain,     ///< for a person
    coloured,  ///< for a person at a terminal
    json,      ///< for tools: docs/story.md
};

/// `flowkin --story WHAT FILE…`: walks over the files twice, first to find what the question names, then to
/// gather its family, and tells that on `out`. The files may be in any order; "-" is standard input. What can
/// be read only once is copied to a nameless file below $TMPDIR first.
///
/// Nothing found: Fault::other. A file that cannot be read: Fault::input_output.
Result<void> tell_story(const StoryQuestion& question, std::span<const std::string> paths, StoryForm form,
                        std::ostream& out);

}  // namespace flowkin
