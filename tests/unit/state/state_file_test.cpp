// SPDX-License-Identifier: GPL-2.0-or-later
#include "state/state_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

using namespace flowkin;
namespace fs = std::filesystem;

namespace {

/// A folder that goes when the test does.
struct Folder {
    Folder() {
        std::string name = (fs::temp_directory_path() / "flowkin-state-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string file() const { return (path / "flows.state").string(); }
    fs::path path;
};

StateHeader header() {
    StateHeader made;
    made.origin.boot_id[3] = 9;
    made.origin.netns_cookie = 77;
    made.run = 0x1234567890abcdef;
    made.sequence = 42;
    made.uids = 7;
    made.kernel_drops = 3;
    made.heard_until = WallTime(nanoseconds(1'700'000'000'123'456'789));
    made.clean = true;
    made.log_path = "/var/log/flowkin/flow.ndjson";
    return made;
}

FlowRecord full_record(std::uint64_t counter) {
    FlowRecord record;
    Flow& flow = record.flow;
    flow.key.original.source.bytes.fill(0xfd);
    flow.key.original.destination.bytes.fill(0x11);
    flow.key.original.source_port = static_cast<std::uint16_t>(counter);
    flow.key.original.destination_port = 443;
    flow.key.original.family = Family::ipv6;
    flow.key.original.protocol = Protocol::tcp;
    flow.key.zone = {7, ZoneDirection::reply};
    flow.mark_origin = MarkOrigin::diverged;
    flow.protocol_state = 3;
    flow.kernel_id = 0xdeadbeef;
    flow.uid = {5, counter};
    flow.started = WallTime(nanoseconds(11));
    flow.last_seen = WallTime(nanoseconds(22));
    flow.original_counters = {1, UINT64_MAX};
    flow.reply_counters = {3, 4};
    flow.mark = 0xffffffff;
    flow.mark_previous = 17;
    flow.mark_changes = 2;
    flow.status.bits = 0x20f;
    flow.timeout_s = 432000;
    flow.gaps.add(Gap::accounting_off);
    flow.has_kernel_id = flow.has_start = flow.has_counters = flow.has_timeout = flow.rejected = true;
    record.reply = flow.key.original;
    record.lineage.emplace();
    record.lineage->parent = {5, 1};
    record.lineage->parent_tuple = flow.key.original;
    record.lineage->parent_kernel_id = 6;
    record.lineage->parent_has_kernel_id = true;
    record.lineage->parent_helper = HelperName("ftp");
    record.lineage->root = {5, 1};
    record.lineage->depth = 1;
    record.tags.emplace();
    record.tags->helper = HelperName(std::string_view("a\0\n\xff", 4));
    record.tags->labels.bytes[15] = 0x80;
    record.marks.emplace();
    record.marks->add({17, WallTime(nanoseconds(5))});
    record.marks->add({0xffffffff, WallTime(nanoseconds(6))});
    return record;
}

FlowView view(const FlowRecord& record) {
    return {.flow = &record.flow,
            .reply = record.reply ? &*record.reply : nullptr,
            .lineage = record.lineage ? &*record.lineage : nullptr,
            .tags = record.tags ? &*record.tags : nullptr,
            .marks = record.marks ? &*record.marks : nullptr};
}

void write_state(const std::string& path, const std::vector<FlowRecord>& records) {
    auto writer = StateWriter::create(path, header());
    REQUIRE(writer);
    StateChunk chunk;
    for (const FlowRecord& record : records) {
        if (!chunk.add(view(record))) {
            REQUIRE(writer->append(chunk));
            chunk.clear();
            REQUIRE(chunk.add(view(record)));
        }
    }
    if (!chunk.empty()) {
        REQUIRE(writer->append(chunk));
    }
    REQUIRE(writer->finish());
}

Result<std::optional<LoadedState>> load(const std::string& path, std::vector<FlowRecord>* records = nullptr) {
    return load_state(
        path, [](const StateHeader&) { return true; },
        [&](const FlowRecord& record) {
            if (records != nullptr) {
                records->push_back(record);
            }
        });
}

std::string slurp(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
}

void spill(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE("what was written is read back, member by member") {
    const Folder folder;
    FlowRecord plain;
    plain.flow.uid = {1, 2};
    write_state(folder.file(), {full_record(9), plain});
    std::vector<FlowRecord> records;
    const auto loaded = load(folder.file(), &records);
    REQUIRE(loaded);
    REQUIRE(*loaded);
    CHECK((*loaded)->header.origin == header().origin);
    CHECK((*loaded)->header.run == header().run);
    CHECK((*loaded)->header.sequence == 42);
    CHECK((*loaded)->header.kernel_drops == 3);
    CHECK((*loaded)->header.heard_until == header().heard_until);
    CHECK((*loaded)->header.clean);
    CHECK((*loaded)->header.log_path == header().log_path);
    REQUIRE(records.size() == 2);
    const FlowRecord expected = full_record(9);
    const Flow& flow = records[0].flow;
    CHECK(flow.key == expected.flow.key);
    CHECK(flow.uid == expected.flow.uid);
    CHECK(flow.mark_origin == MarkOrigin::diverged);
    CHECK(flow.protocol_state == 3);
    CHECK(flow.kernel_id == 0xdeadbeef);
    CHECK(flow.started == expected.flow.started);
    CHECK(flow.last_seen == expected.flow.last_seen);
    CHECK(flow.original_counters == expected.flow.original_counters);
    CHECK(flow.reply_counters == expected.flow.reply_counters);
    CHECK(flow.mark == expected.flow.mark);
    CHECK(flow.mark_previous == 17);
    CHECK(flow.mark_changes == 2);
    CHECK(flow.status == expected.flow.status);
    CHECK(flow.timeout_s == 432000);
    CHECK(flow.gaps == expected.flow.gaps);
    CHECK((flow.has_kernel_id && flow.has_start && flow.has_counters && flow.has_timeout && flow.rejected));
    CHECK(records[0].reply == expected.reply);
    REQUIRE(records[0].lineage);
    CHECK(records[0].lineage->parent == expected.lineage->parent);
    CHECK(records[0].lineage->parent_tuple == expected.lineage->parent_tuple);
    CHECK(records[0].lineage->parent_helper == expected.lineage->parent_helper);
    CHECK(records[0].lineage->root == expected.lineage->root);
    CHECK(records[0].lineage->depth == 1);
    CHECK(records[0].tags->helper == expected.tags->helper);
    CHECK(records[0].tags->labels == expected.tags->labels);
    CHECK(records[0].marks->count == 2);
    CHECK(records[0].marks->entries[1].mark == 0xffffffff);
    CHECK(!records[1].reply);
    CHECK(!records[1].lineage);
    CHECK(!records[1].tags);
    CHECK(!records[1].marks);
    CHECK(!records[1].flow.has_start);
}

TEST_CASE("no file is no error") {
    const Folder folder;
    const auto loaded = load(folder.file());
    REQUIRE(loaded);
    CHECK(!*loaded);
}

TEST_CASE("a state file that is cut off anywhere is refused") {
    const Folder folder;
    write_state(folder.file(), {full_record(1), full_record(2)});
    const std::string whole = slurp(folder.file());
    for (std::size_t length = 0; length < whole.size(); ++length) {
        spill(folder.file(), whole.substr(0, length));
        CHECK(!load(folder.file()));
    }
}

TEST_CASE("a state file with any byte altered is refused") {
    const Folder folder;
    write_state(folder.file(), {full_record(1), full_record(2)});
    const std::string whole = slurp(folder.file());
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string altered = whole;
        altered[at] = static_cast<char>(altered[at] ^ 0x10);
        spill(folder.file(), altered);
        CHECK(!load(folder.file()));
    }
}

TEST_CASE("a state file of another version, and one that is none at all, say so") {
    const Folder folder;
    write_state(folder.file(), {});
    std::string other = slurp(folder.file());
    other[8] = 2;
    spill(folder.file(), other);
    CHECK(load(folder.file()).error().text.find("version 2") != std::string::npos);
    spill(folder.file(), std::string(4096, 'x'));
    CHECK(load(folder.file()).error().text.find("no state file") != std::string::npos);
}

TEST_CASE("random bytes behind a good beginning never crash the reader") {
    const Folder folder;
    write_state(folder.file(), {full_record(1)});
    const std::string whole = slurp(folder.file());
    std::mt19937 random(3);
    for (int round = 0; round < 300; ++round) {
        std::string hostile = whole.substr(0, 16 + random() % (whole.size() - 16));
        for (int i = 0; i < 200; ++i) {
            hostile.push_back(static_cast<char>(random()));
        }
        spill(folder.file(), hostile);
        CHECK(!load(folder.file()));
    }
}

TEST_CASE("a file that others can write, a link, and a folder are refused") {
    const Folder folder;
    write_state(folder.file(), {});
    REQUIRE(::chmod(folder.file().c_str(), 0666) == 0);
    if (::geteuid() == 0) {
        CHECK(load(folder.file()).error().text.find("others than root") != std::string::npos);
    }
    const std::string link = (folder.path / "link").string();
    REQUIRE(::symlink(folder.file().c_str(), link.c_str()) == 0);
    CHECK(load(link).error().text.find("symbolic link") != std::string::npos);
    CHECK(!load(folder.path.string()));
}

TEST_CASE("a writer that does not finish leaves the old file as it was, and nothing beside it") {
    const Folder folder;
    write_state(folder.file(), {full_record(1)});
    const std::string before = slurp(folder.file());
    {
        auto writer = StateWriter::create(folder.file(), header());
        REQUIRE(writer);
        StateChunk chunk;
        const FlowRecord record = full_record(2);
        chunk.add(view(record));
        REQUIRE(writer->append(chunk));
    }
    CHECK(slurp(folder.file()) == before);
    CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE("a million flows save and load in under two seconds of processor time each") {
    const Folder folder;
    FlowRecord record;
    record.flow.uid = {1, 1};
    // Not the time of day: other programs run on this machine, too.
    const auto begun = std::clock();
    auto writer = StateWriter::create(folder.file(), header());
    REQUIRE(writer);
    StateChunk chunk;
    for (std::uint64_t i = 1; i <= 1'000'000; ++i) {
        record.flow.uid.counter = i;
        if (!chunk.add(view(record))) {
            REQUIRE(writer->append(chunk));
            chunk.clear();
            chunk.add(view(record));
        }
    }
    REQUIRE(writer->append(chunk));
    REQUIRE(writer->finish());
    const auto saved = std::clock();
    std::uint64_t flows = 0;
    const auto loaded = load_state(
        folder.file(), [](const StateHeader&) { return true; }, [&](const FlowRecord&) { ++flows; });
    const auto read = std::clock();
    REQUIRE(loaded);
    CHECK(flows == 1'000'000);
    const auto ms = [](std::clock_t span) { return span * 1000 / CLOCKS_PER_SEC; };
    WARN("saved in " << ms(saved - begun) << " ms, loaded in " << ms(read - saved) << " ms");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    CHECK(ms(saved - begun) < 2000);
    CHECK(ms(read - saved) < 2000);
#endif
}
