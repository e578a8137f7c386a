// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/verify_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "ledger/line_reader.hpp"
#include "ledger/log_record.hpp"
#include "ledger/verifier.hpp"

namespace flowkin {

namespace {

/// One line on a terminal, written over and over.
class Progress {
  public:
    Progress(int fd, std::uint64_t total_bytes)
        : fd_(::isatty(fd) == 1 ? fd : -1), total_bytes_(total_bytes) {}
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress() {
        if (shown_) {
            say("\r\x1b[K");
        }
    }

    void show(std::uint64_t bytes) {
        if (fd_ < 0 || bytes < next_bytes_) {
            return;
        }
        next_bytes_ = bytes + step_bytes;
        shown_ = true;
        std::string text = "\r\x1b[Kverifying " + std::to_string(bytes / megabyte);
        if (total_bytes_ != 0) {
            text += " of " + std::to_string(total_bytes_ / megabyte);
        }
        say(text + " MB");
    }

  private:
    static constexpr std::uint64_t megabyte = 1'000'000;
    static constexpr std::uint64_t step_bytes = 50 * megabyte;

    void say(const std::string& text) const {
        // A terminal that does not take it is no reason to stop.
        [[maybe_unused]] const ssize_t written = ::write(fd_, text.data(), text.size());
    }

    int fd_;
    std::uint64_t total_bytes_;
    std::uint64_t next_bytes_ = step_bytes;
    bool shown_ = false;
};

/// Where a file begins.
struct FileBeginning {
    std::string path;
    std::uint64_t run = 0;
    std::uint64_t sequence = 0;
};

/// Of a regular file only: what comes by a pipe can be read once.
Result<std::optional<FileBeginning>> look_at_beginning(const std::string& path) {
    struct stat status {};
    if (path == "-" ||
        (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))) {
        return std::nullopt;
    }
    auto reader = LineReader::open(path);
    if (!reader) {
        return tl::unexpected(reader.error());
    }
    LineReader::Line line;
    LogRecord record;
    if (!reader->next(line) || !read_record(line.text, record) || !record.id) {
        return std::nullopt;
    }
    return FileBeginning{path, record.id->run, record.id->counter};
}

/// Names the right order of the first run whose files are not in order.
std::optional<std::string> find_disorder(const std::vector<FileBeginning>& beginnings) {
    std::vector<FileBeginning> sorted = beginnings;
    std::stable_sort(sorted.begin(), sorted.end(), [](const FileBeginning& a, const FileBeginning& b) {
        return std::pair(a.run, a.sequence) < std::pair(b.run, b.sequence);
    });
    std::vector<FileBeginning> given = beginnings;
    std::stable_sort(given.begin(), given.end(),
                     [](const FileBeginning& a, const FileBeginning& b) { return a.run < b.run; });
    for (std::size_t i = 0; i < given.size(); ++i) {
        if (given[i].sequence == sorted[i].sequence) {
            continue;
        }
        std::string order;
        for (const FileBeginning& file : sorted) {
            if (file.run == sorted[i].run) {
                order += ' ' + file.path;
            }
        }
        return "the files are not in order, oldest first:" + order;
    }
    return std::nullopt;
}

std::optional<Error> read_into(Verifier& verifier, LineReader& reader, Progress& progress) {
    LineReader::Line line;
    while (reader.next(line)) {
        if (line.overlong()) {
            verifier.feed_overlong(line.bytes);
        } else {
            verifier.feed(line.text);
        }
        progress.show(verifier.bytes());
    }
    return reader.error();
}

}  // namespace

Result<int> verify_files(std::span<const std::string> paths, std::ostream& out, int progress_fd) {
    std::vector<FileBeginning> beginnings;
    std::uint64_t total_bytes = 0;
    for (const std::string& path : paths) {
        const auto beginning = look_at_beginning(path);
        if (!beginning) {
            return tl::unexpected(beginning.error());
        }
        if (*beginning) {
            beginnings.push_back(**beginning);
        }
        struct stat status {};
        if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
            total_bytes += static_cast<std::uint64_t>(status.st_size);
        }
    }
    if (auto disorder = find_disorder(beginnings)) {
        return fail(Fault::usage, std::move(*disorder));
    }

    Verifier verifier;
    {
        Progress progress(progress_fd, total_bytes);
        for (const std::string& path : paths) {
            auto reader = LineReader::open(path);
            if (!reader) {
                return tl::unexpected(reader.error());
            }
            verifier.begin_file(path);
            if (auto error = read_into(verifier, *reader, progress)) {
                return tl::unexpected(std::move(*error));
            }
        }
    }
    const Verdict verdict = verifier.verdict();
    print(verdict, out);
    return verdict.holds() ? 0 : 1;
}

}  // namespace flowkin
