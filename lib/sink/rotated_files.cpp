// SPDX-License-Identifier: GPL-2.0-or-later
#include "sink/rotated_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <tuple>
#include <vector>

namespace flowkin {

namespace {

namespace fs = std::filesystem;

/// What follows `PATH.` in a rotated file's name.
struct Suffix {
    std::string stamp;
    std::uint64_t counter = 0;

    std::string text() const {
        auto digits = std::to_string(counter);
        if (digits.size() < 6) {
            digits.insert(0, 6 - digits.size(), '0');
        }
        return stamp + '-' + digits;
    }
    bool operator<(const Suffix& other) const {
        return std::tie(stamp, counter) < std::tie(other.stamp, other.counter);
    }
};

std::string stamp_of(std::time_t time) {
    std::tm utc{};
    ::gmtime_r(&time, &utc);
    std::array<char, 32> text{};
    const auto length = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
    return {text.data(), length};
}

std::optional<Suffix> parse(std::string_view text) {
    constexpr std::string_view shape = "00000000T000000Z-000000";
    if (text.size() < shape.size()) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char expected = i < shape.size() ? shape[i] : '0';
        const bool digit = text[i] >= '0' && text[i] <= '9';
        if (expected == '0' ? !digit : text[i] != expected) {
            return std::nullopt;
        }
    }
    Suffix suffix{.stamp = std::string(text.substr(0, shape.find('-'))), .counter = 0};
    const auto* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + shape.find('-') + 1, end, suffix.counter);
    if (parsed.ec != std::errc{}) {
        return std::nullopt;
    }
    return suffix;
}

/// The rotated files of `path`, oldest first.
Result<std::vector<Suffix>> list(const std::string& path) {
    const auto log = fs::path(path);
    const auto folder = log.has_parent_path() ? log.parent_path() : fs::path(".");
    const auto prefix = log.filename().string() + '.';
    std::vector<Suffix> found;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const auto name = entry->path().filename().string();
        if (name.starts_with(prefix)) {
            if (auto suffix = parse(std::string_view(name).substr(prefix.size()))) {
                found.push_back(*std::move(suffix));
            }
        }
    }
    if (error) {
        return fail(Fault::input_output, "cannot list " + folder.string() + ": " + error.message());
    }
    std::sort(found.begin(), found.end());
    return found;
}

int rename_to_new(const std::string& from, const std::string& to) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL) {
        return errno;
    }
    // A file system that does not know RENAME_NOREPLACE.
    if (::faccessat(AT_FDCWD, to.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return EEXIST;
    }
    return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

Result<void> RotatedFiles::add(std::time_t last_written) const {
    const auto present = list(path_);
    if (!present) {
        return tl::unexpected(present.error());
    }
    Suffix next{.stamp = stamp_of(last_written), .counter = 1};
    if (!present->empty()) {
        next.stamp = std::max(next.stamp, present->back().stamp);
        for (const auto& suffix : *present) {
            next.counter = std::max(next.counter, suffix.counter + 1);
        }
    }
    const auto target = path_ + '.' + next.text();
    if (const int error = rename_to_new(path_, target); error != 0) {
        return fail(Fault::input_output,
                    "cannot rename " + path_ + " to " + target + ": " + std::strerror(error));
    }
    return {};
}

Result<void> RotatedFiles::prune(unsigned keep) const {
    const auto present = list(path_);
    if (!present) {
        return tl::unexpected(present.error());
    }
    const auto excess = present->size() - std::min<std::size_t>(present->size(), keep);
    for (std::size_t i = 0; i < excess; ++i) {
        const auto old = path_ + '.' + (*present)[i].text();
        if (::unlink(old.c_str()) != 0 && errno != ENOENT) {
            return fail(Fault::input_output, "cannot remove " + old + ": " + std::strerror(errno));
        }
    }
    return {};
}

}  // namespace flowkin
