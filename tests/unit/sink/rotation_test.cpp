// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <regex>
#include <utility>

#include "unit/sink/lines.hpp"

using namespace flowkin;
using namespace flowkin::test;

namespace {

namespace fs = std::filesystem;

/// The rotated files of `folder`/log, sorted by name.
std::vector<std::string> rotated(const Folder& folder) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
        if (entry.path().filename().string().starts_with("log.")) {
            found.push_back(entry.path().string());
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::string all_text(const Folder& folder) {
    std::string text;
    for (const auto& path : rotated(folder)) {
        text += text_of(path);
    }
    return text + text_of(folder / "log");
}

}  // namespace

TEST_CASE("files rotated under load hold every line once, in order, and none is split") {
    const Folder folder;
    auto log = open_file({.path = folder / "log", .rotate_bytes = 50'000, .rotate_keep = 1000});
    constexpr std::uint64_t count = 40'000;
    for (std::uint64_t next = 1; next <= count; next += 40) {
        submit_lines(*log, next, 40, 100 + next % 60);
    }
    CHECK_FALSE(log->close(10s));
    const auto files = rotated(folder);
    CHECK(files.size() > 80);
    CHECK(log->counters().rotations == files.size());
    for (const auto& path : files) {
        CHECK(fs::file_size(path) <= 50'000);
        CHECK(fs::file_size(path) > 49'000);
        CHECK_FALSE(sequences(text_of(path)).empty());
        CHECK(std::regex_match(path, std::regex(R"(.*/log\.\d{8}T\d{6}Z-\d{6})")));
    }
    CHECK(sequences(all_text(folder)) == range(1, count));
}

TEST_CASE("no line follows the rename") {
    const Folder folder;
    auto log = open_file({.path = folder / "log", .rotate_bytes = 20'000, .rotate_keep = 1000});
    std::vector<std::pair<std::string, std::uintmax_t>> seen;
    std::uint64_t next = 1;
    REQUIRE(eventually([&] {
        submit_lines(*log, std::exchange(next, next + 100), 100);
        for (const auto& path : rotated(folder)) {
            if (seen.empty() || seen.back().first < path) {
                seen.emplace_back(path, fs::file_size(path));
            }
        }
        return seen.size() >= 20;
    }));
    CHECK_FALSE(log->close(5s));
    for (const auto& [path, size] : seen) {
        CHECK(fs::file_size(path) == size);
    }
}

TEST_CASE("only the newest rotated files are kept, and nothing else is touched") {
    const Folder folder;
    const std::vector<std::string> others = {"log.1", "log.20200101T000000Z-000001.gz", "log.old",
                                             "log.20200101T000000Z-00001", "blog.20200101T000000Z-000001"};
    for (const auto& name : others) {
        write_text(folder / name, "not ours");
    }
    write_text(folder / "log.20200101T000000Z-000041", "");
    write_text(folder / "log.20200101T000000Z-000007", "");
    auto log = open_file({.path = folder / "log", .rotate_bytes = 1000, .rotate_keep = 3});
    submit_lines(*log, 1, 105);
    CHECK_FALSE(log->close(5s));
    std::vector<std::string> kept;
    for (const auto& path : rotated(folder)) {
        if (text_of(path) != "not ours") {
            kept.push_back(path);
        }
    }
    REQUIRE(kept.size() == 3);
    CHECK_THAT(kept[0], Catch::EndsWith("-000049"));
    CHECK_THAT(kept[2], Catch::EndsWith("-000051"));
    std::string text;
    for (const auto& path : kept) {
        text += text_of(path);
    }
    CHECK(sequences(text + text_of(folder / "log")) == range(71, 105));
    for (const auto& name : others) {
        CHECK(text_of(folder / name) == "not ours");
    }
}

TEST_CASE("a rotated name never stands before an older one, even where the clock was set back") {
    const Folder folder;
    write_text(folder / "log.29990101T000000Z-000005", "");
    auto log = open_file({.path = folder / "log"});
    submit_lines(*log, 1, 1);
    log->rotate();
    CHECK_FALSE(log->close(5s));
    CHECK(fs::exists(folder / "log.29990101T000000Z-000006"));
}

TEST_CASE("rotating on request keeps its place among the lines, and leaves an empty file alone") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    log->rotate();
    submit_lines(*log, 1, 10);
    REQUIRE(written(*log, 10));
    log->rotate();
    submit_lines(*log, 11, 10);
    CHECK_FALSE(log->close(5s));
    const auto files = rotated(folder);
    REQUIRE(files.size() == 1);
    CHECK(sequences(text_of(files[0])) == range(1, 10));
    CHECK(sequences(text_of(folder / "log")) == range(11, 20));
    CHECK(log->counters().rotations == 1);
}

TEST_CASE("a line longer than a file may be gets a file of its own") {
    const Folder folder;
    auto log = open_file({.path = folder / "log", .rotate_bytes = 1000});
    submit_lines(*log, 1, 3, 1500);
    CHECK_FALSE(log->close(5s));
    CHECK(rotated(folder).size() == 2);
    CHECK(sequences(all_text(folder)) == range(1, 3));
}

TEST_CASE("the size and the number of files change while running") {
    const Folder folder;
    auto log = open_file({.path = folder / "log"});
    submit_lines(*log, 1, 100);
    REQUIRE(written(*log, 100));
    CHECK(rotated(folder).empty());
    log->set_rotation(2000, 2);
    submit_lines(*log, 101, 100);
    CHECK_FALSE(log->close(5s));
    CHECK(rotated(folder).size() == 2);
    CHECK(sequences(text_of(folder / "log")).back() == 200);
}

TEST_CASE("a file that cannot be renamed is written on, and the operator is told once") {
    const Folder folder;
    if (!own_mounts()) {
        return;
    }
    const auto path = folder / "log";
    write_text(path, "");
    REQUIRE(::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0);  // busy: EBUSY
    Heard heard;
    auto log = open_file({.path = path, .rotate_bytes = 1000}, heard.callbacks());
    for (std::uint64_t next = 1; next <= 100; next += 10) {
        submit_lines(*log, next, 10);
        CHECK(written(*log, next + 9));
    }
    const auto told = heard.all();
    const bool unmounted = ::umount(path.c_str()) == 0 || ::umount2(path.c_str(), MNT_DETACH) == 0;
    REQUIRE(unmounted);
    REQUIRE(told.size() == 1);
    CHECK_THAT(told[0], Catch::Contains("cannot rename"));
    CHECK(sequences(text_of(path)) == range(1, 100));
    log->rotate();
    REQUIRE(eventually([&] { return heard.all().size() == 2; }));
    CHECK(heard.all()[1] == "recovered");
    CHECK(rotated(folder).size() == 1);
}
