// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "ledger/line_reader.hpp"
#include "ledger/story.hpp"
#include "ledger/story_telling.hpp"

namespace flowkin {

namespace {

/// So many stories are told in one answer.
constexpr std::size_t most_stories = 10;

tl::unexpected<Error> cannot(const std::string& what, int error) {
    return fail(Fault::input_output, "cannot " + what + ": " + std::generic_category().message(error));
}

bool write_whole(int fd, const char* bytes, std::size_t length) {
    while (length != 0) {
        const ssize_t written = ::write(fd, bytes, length);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        bytes += std::max<ssize_t>(written, 0);
        length -= static_cast<std::size_t>(std::max<ssize_t>(written, 0));
    }
    return true;
}

/// A file of the log that can be read twice.
class LogSource {
  public:
    static Result<LogSource> open(const std::string& path) {
        struct stat status {};
        const bool standard_input = path == "-";
        const int known = standard_input ? ::fstat(STDIN_FILENO, &status) : ::stat(path.c_str(), &status);
        // What is not there, or a folder, is refused by the reader, in its own words.
        if (!standard_input && (known != 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) {
            return LogSource(path, path, {});
        }
        return copy(path);
    }

    Result<LineReader> read() const {
        auto reader = LineReader::open(path_);
        if (!reader && path_ != name_) {
            reader.error().text = "cannot read " + name_ + " again";
        }
        return reader;
    }

    WallTime begins{};  ///< the first line's time

  private:
    LogSource(std::string name, std::string path, UniqueFd copy)
        : name_(std::move(name)), path_(std::move(path)), copy_(std::move(copy)) {}

    static Result<LogSource> copy(const std::string& name) {
        const char* const wanted = std::getenv("TMPDIR");
        const std::string folder = wanted != nullptr && *wanted != '\0' ? wanted : "/tmp";
        const std::string said = name == "-" ? "standard input" : name;
        std::string copying = "copy " + said;
        copying += " to " + folder;
        UniqueFd from(name == "-" ? ::dup(STDIN_FILENO)
                                  : ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (!from) {
            return cannot("read " + said, errno);
        }
        UniqueFd to(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        if (!to) {
            return cannot(copying, errno);
        }
        std::vector<char> buffer(std::size_t{256} * 1024);
        for (;;) {
            const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
            if (got == 0) {
                break;
            }
            if (got < 0 && errno != EINTR) {
                return cannot("read " + said, errno);
            }
            if (got > 0 && !write_whole(to.get(), buffer.data(), static_cast<std::size_t>(got))) {
                return cannot(copying, errno);
            }
        }
        std::string path = "/proc/self/fd/" + std::to_string(to.get());
        return LogSource(said, std::move(path), std::move(to));
    }

    std::string name_;
    std::string path_;
    UniqueFd copy_;
};

std::optional<WallTime> time_of(std::string_view line) {
    const auto record = RecordFields::parse(line);
    return record ? record->time("@timestamp") : std::nullopt;
}

/// The sources in the log's order: the oldest first, whatever order a shell's pattern gave.
Result<std::vector<LogSource>> open_all(std::span<const std::string> paths) {
    std::vector<LogSource> sources;
    for (const std::string& path : paths) {
        auto source = LogSource::open(path);
        if (!source) {
            return tl::unexpected(source.error());
        }
        auto reader = source->read();
        if (!reader) {
            return tl::unexpected(reader.error());
        }
        LineReader::Line line;
        for (int tries = 0; tries < 100 && reader->next(line); ++tries) {
            if (const auto time = time_of(line.text)) {
                source->begins = *time;
                break;
            }
        }
        sources.push_back(std::move(*source));
    }
    std::stable_sort(sources.begin(), sources.end(),
                     [](const LogSource& a, const LogSource& b) { return a.begins < b.begins; });
    return sources;
}

/// Calls `take` with each line that is not overlong. Gives how many there were.
template <class Take>
Result<std::uint64_t> walk(const std::vector<LogSource>& sources, Take&& take) {
    std::uint64_t lines = 0;
    for (const LogSource& source : sources) {
        auto reader = source.read();
        if (!reader) {
            return tl::unexpected(reader.error());
        }
        LineReader::Line line;
        while (reader->next(line)) {
            ++lines;
            take(line.text);
        }
        if (reader->error()) {
            return tl::unexpected(*reader->error());
        }
    }
    return lines;
}

Result<std::uint64_t> search(const std::vector<LogSource>& sources, const StoryQuestion& question,
                             StorySearch& found) {
    // Only "any day" asks for the log's end: a flow that lives may have been there on each day up to it.
    const bool wants_end = question.time && question.time->every_day;
    std::string last;
    auto lines = walk(sources, [&](std::string_view line) {
        found.feed(line);
        if (wants_end && !line.empty()) {
            last = line;
        }
    });
    if (const auto time = wants_end ? time_of(last) : std::nullopt) {
        found.set_last_time(*time);
    }
    return lines;
}

}  // namespace

Result<void> tell_story(const StoryQuestion& question, std::span<const std::string> paths, StoryForm form,
                        std::ostream& out) {
    const auto sources = open_all(paths);
    if (!sources) {
        return tl::unexpected(sources.error());
    }
    StorySearch found(question);
    const auto lines = search(*sources, question, found);
    if (!lines) {
        return tl::unexpected(lines.error());
    }
    std::vector<StorySubject> subjects = found.subjects();
    if (subjects.empty()) {
        return fail(Fault::other, "nothing about " + question.text() + " in " + std::to_string(*lines) +
                                      (*lines == 1 ? " line" : " lines"));
    }
    StoryAnswer answer;
    answer.question = question;
    answer.search_was_full = found.is_full();
    for (const StorySubject& subject : subjects) {
        answer.matches += std::max<std::size_t>(subject.asked_for.size(), 1);
    }
    answer.stories_left_out = subjects.size() - std::min(subjects.size(), most_stories);
    subjects.resize(std::min(subjects.size(), most_stories));

    StoryGatherer gatherer(subjects);
    if (const auto walked = walk(*sources, [&](std::string_view line) { gatherer.feed(line); }); !walked) {
        return tl::unexpected(walked.error());
    }
    answer.stories = gatherer.finish();
    if (form == StoryForm::json) {
        write_story_json(answer, out);
    } else {
        StoryTelling(out, form == StoryForm::coloured).tell(answer);
    }
    out.flush();
    if (!out) {
        return fail(Fault::input_output, "cannot write the story to standard output");
    }
    return {};
}

}  // namespace flowkin
