// SPDX-License-Identifier: GPL-2.0-or-later
#include "log_tail.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json/logged_flow.hpp"

namespace flowkin {

namespace {

namespace fs = std::filesystem;

/// How the event.id of a run's lines begins.
std::string id_prefix(RunId run) {
    char text[32];
    std::snprintf(text, sizeof text, R"("id":"%016llx)", static_cast<unsigned long long>(run));
    return text;
}

/// The sequence of a line of the run whose prefix it is; cheap, so that a long log is skimmed and not parsed.
std::optional<std::uint64_t> sequence_of(const std::string& line, const std::string& prefix) {
    constexpr std::size_t digits = 16;
    const std::size_t at = line.find(prefix);
    if (at == std::string::npos || line.size() < at + prefix.size() + digits) {
        return std::nullopt;
    }
    const char* first = line.data() + at + prefix.size();
    std::uint64_t sequence = 0;
    const auto [end, error] = std::from_chars(first, first + digits, sequence, 16);
    return error == std::errc{} && end == first + digits ? std::optional(sequence) : std::nullopt;
}

/// The log's files, newest first: the one being written and those that were rotated away from it.
std::vector<fs::path> log_files(const std::string& log_path) {
    std::vector<std::pair<fs::file_time_type, fs::path>> files;
    std::error_code error;
    const fs::path path(log_path);
    const std::string name = path.filename().string();
    for (const fs::directory_entry& entry : fs::directory_iterator(path.parent_path(), error)) {
        const std::string found = entry.path().filename().string();
        if ((found == name || found.starts_with(name + ".")) && entry.is_regular_file(error)) {
            files.emplace_back(entry.last_write_time(error), entry.path());
        }
    }
    std::sort(files.begin(), files.end(), std::greater<>());
    std::vector<fs::path> paths;
    paths.reserve(files.size());
    for (auto& [time, file] : files) {
        paths.push_back(std::move(file));
    }
    return paths;
}

/// True where no line of the run that comes after `sequence` can stand in an older file.
bool reaches_back(const fs::path& file, const std::string& prefix, std::uint64_t sequence) {
    std::ifstream in(file);
    std::string line;
    for (bool at_top = true; std::getline(in, line); at_top = false) {
        if (const auto found = sequence_of(line, prefix)) {
            return !at_top || *found <= sequence + 1;
        }
    }
    return false;
}

/// The files to read, oldest first; none where the log does not reach back to the state file.
std::vector<fs::path> files_since(const StateHeader& header) {
    const std::string prefix = id_prefix(header.run);
    std::vector<fs::path> wanted;
    for (fs::path& file : log_files(header.log_path)) {
        wanted.push_back(std::move(file));
        if (reaches_back(wanted.back(), prefix, header.sequence)) {
            std::reverse(wanted.begin(), wanted.end());
            return wanted;
        }
    }
    return {};
}

/// Takes the lines one by one, from run to run.
class TailReader {
  public:
    TailReader(const StateHeader& header, LogTail& tail)
        : tail_(tail), prefix_(id_prefix(header.run)), known_(header.sequence) {}

    void take(const std::string& line) {
        if (tail_.superseded) {
            return;
        }
        if (const auto sequence = sequence_of(line, prefix_)) {
            met_ = true;
            if (*sequence > known_) {
                if (const auto logged = read_logged_line(line); logged && logged->run == tail_.run) {
                    apply(*logged);
                }
            }
        } else if (met_ && line.find("\"monitor-start\"") != std::string::npos) {
            if (const auto logged = read_logged_line(line);
                logged && logged->what == LoggedLine::What::start) {
                follow(*logged);
            }
        }
    }

  private:
    void follow(const LoggedLine& start) {
        if (start.start == StartState::fresh || start.previous_run != tail_.run) {
            tail_.superseded = true;
            return;
        }
        tail_.run = start.run;
        tail_.stopped = false;
        if (start.start == StartState::restored) {
            tail_.kernel_drops = 0;  // a new socket
        }
        prefix_ = id_prefix(start.run);
        known_ = 0;
    }

    void apply(const LoggedLine& line) {
        const FlowRecord& record = line.record;
        switch (line.what) {
            case LoggedLine::What::flow_end:
                tail_.flows[record.flow.uid] = std::nullopt;
                if (record.flow.mark_changes != 0) {
                    tail_.ended_marks[record.flow.uid] = record.flow.mark;
                }
                break;
            case LoggedLine::What::flow:
                if (!record.flow.gaps.has(Gap::table_full)) {
                    tail_.flows[record.flow.uid] = record;
                }
                break;
            case LoggedLine::What::kernel_loss:
                tail_.kernel_drops += line.lost;
                break;
            case LoggedLine::What::stop:
                tail_.stopped = true;
                break;
            case LoggedLine::What::start:
            case LoggedLine::What::other:
                break;
        }
        // Not what a dump showed: events may still have waited to be read then.
        if (line.heard || line.what == LoggedLine::What::stop) {
            tail_.heard_until = std::max(tail_.heard_until, line.at);
        }
    }

    LogTail& tail_;
    std::string prefix_;
    std::uint64_t known_;  ///< lines of the run up to this sequence are in the state file
    bool met_ = false;
};

}  // namespace

LogTail read_log_tail(const StateHeader& header) {
    LogTail tail;
    tail.run = header.run;
    tail.stopped = header.clean;
    tail.kernel_drops = header.kernel_drops;
    tail.heard_until = header.heard_until;
    const std::vector<fs::path> files = files_since(header);
    tail.joins = !files.empty();
    TailReader reader(header, tail);
    for (const fs::path& file : files) {
        std::ifstream in(file);
        std::string line;
        while (std::getline(in, line) && !in.eof()) {
            reader.take(line);
        }
    }
    return tail;
}

}  // namespace flowkin
