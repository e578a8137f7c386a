// SPDX-License-Identifier: GPL-2.0-or-later
// Any question and any bytes as a log: the first line is WHAT, the second TIME (or empty), the rest the log. What
// is told to a person holds no control character but the end of a line, and what is told to a tool is JSON.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "ledger/story_telling.hpp"

namespace {

std::string_view take_line(std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line;
}

template <class Reader>
void feed(Reader& reader, std::string_view log) {
    while (!log.empty()) {
        reader.feed(take_line(log));
    }
}

bool is_control(char byte) {
    return (static_cast<unsigned char>(byte) < 0x20 && byte != '\n') || byte == 0x7f;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(bytes), size);
    const std::string_view what = take_line(text);
    const std::string_view time = take_line(text);
    // A control character in the question is the asker's own.
    const auto question =
        flowkin::parse_story_question(what, time.empty() ? std::nullopt : std::optional(time));
    if (!question) {
        return 0;
    }
    flowkin::StorySearch search(*question);
    feed(search, text);
    std::vector<flowkin::StorySubject> subjects = search.subjects();
    subjects.resize(std::min<std::size_t>(subjects.size(), 10));
    flowkin::StoryAnswer answer{*question, subjects.size(), false, {}, 0};
    flowkin::StoryGatherer gatherer(subjects);
    feed(gatherer, text);
    answer.stories = gatherer.finish();

    std::ostringstream plain;
    flowkin::StoryTelling(plain, false).tell(answer);
    const std::string told = plain.str();
    if (std::any_of(told.begin(), told.end(), is_control)) {
        std::abort();
    }
    std::ostringstream object;
    flowkin::write_story_json(answer, object);
    if (!nlohmann::json::accept(object.str())) {
        std::abort();
    }
    return 0;
}
