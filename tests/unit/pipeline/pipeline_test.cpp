// SPDX-License-Identifier: GPL-2.0-or-later
#include "pipeline/pipeline.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "json/logged_flow.hpp"
#include "support/captures.hpp"

using namespace flowkin;

namespace {

std::vector<nlohmann::json> lines_of(const std::string& capture, Updates updates,
                                     IgnoredFlows ignored = IgnoredFlows()) {
    Pipeline pipeline(
        {.table = {.hash_seed = 0}, .updates = updates},
        std::move(*LineEncoder::create({.run = 0, .host_name = "h", .fields = {}, .label_names = {}})));
    pipeline.ignore(std::move(ignored));
    for (const auto& datagram : testing::read_capture(testing::captures_folder() / capture)) {
        pipeline.feed(datagram.bytes, datagram.arrival);
    }
    std::vector<nlohmann::json> lines;
    std::istringstream text{std::string(pipeline.batch().bytes())};
    for (std::string line; std::getline(text, line);) {
        lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
}

std::size_t count(const std::vector<nlohmann::json>& lines, const std::string& action) {
    std::size_t found = 0;
    for (const nlohmann::json& line : lines) {
        found += line["event"]["action"] == action ? 1U : 0U;
    }
    return found;
}

}  // namespace

TEST_CASE("updates = none writes no update, significant the first assured, all each that changed something") {
    CHECK(count(lines_of("tcp4_acct.pcap", Updates::none), "flow-update") == 0);
    CHECK(count(lines_of("tcp4_acct.pcap", Updates::significant), "flow-update") == 1);
    CHECK(count(lines_of("tcp4_acct.pcap", Updates::all), "flow-update") == 4);
}

TEST_CASE("a change of mark is written unless updates are off, and names what changed") {
    const auto lines = lines_of("markchg.pcap", Updates::significant);
    REQUIRE(count(lines, "flow-mark-changed") >= 1);
    CHECK(count(lines_of("markchg.pcap", Updates::none), "flow-mark-changed") == 0);
}

TEST_CASE("flows that are ignored, and their expectations, make no line; their children do") {
    const IgnoredFlows udp({{std::nullopt, Protocol::udp, std::nullopt}});
    CHECK(lines_of("udp4_acct.pcap", Updates::all, udp).empty());
    CHECK(lines_of("tcp4_acct.pcap", Updates::all, udp) == lines_of("tcp4_acct.pcap", Updates::all));

    const auto lines =
        lines_of("ftp_passive.pcap", Updates::all, IgnoredFlows({{std::nullopt, Protocol::tcp, 21}}));
    CHECK(count(lines, "flow-start") == 1);
    CHECK(count(lines, "expectation-created") == 0);
    for (const nlohmann::json& line : lines) {
        CHECK(line["destination"]["port"] != 21);
        CHECK(line["conntrack"]["parent"]["tuple"]["destination"]["port"] == 21);
    }
}

TEST_CASE("sequences count up by one, whatever was left out") {
    std::uint64_t expected = 0;
    for (const nlohmann::json& line : lines_of("ftp_passive.pcap", Updates::significant)) {
        CHECK(line["event"]["sequence"] == ++expected);
    }
}

TEST_CASE("bytes that are no netlink are counted by kind and make no line") {
    Pipeline pipeline(
        {.table = {.hash_seed = 0}, .updates = Updates::all},
        std::move(*LineEncoder::create({.run = 0, .host_name = "h", .fields = {}, .label_names = {}})));
    const std::vector<std::uint8_t> rubbish(40, 0xff);
    pipeline.feed(rubbish, WallTime{});
    std::uint64_t faults = 0;
    for (const std::uint64_t kind : pipeline.counters().faults) {
        faults += kind;
    }
    CHECK(faults == 1);
    CHECK(pipeline.batch().empty());
}

TEST_CASE("a batch of datagrams makes the lines that they make one by one") {
    for (const auto& path : testing::capture_paths()) {
        INFO(path.stem().string());
        const auto datagrams = testing::read_capture(path);
        std::vector<std::span<const std::uint8_t>> batch;
        const std::vector<std::uint8_t> cut(datagrams.front().bytes.begin(),
                                            datagrams.front().bytes.begin() + 30);
        for (std::size_t turn = 0; turn < 20; ++turn) {  // again and again, so that flows are met anew
            for (const auto& datagram : datagrams) {
                batch.emplace_back(datagram.bytes);
            }
            batch.emplace_back(cut);
        }
        const auto make = [] {
            return std::make_unique<Pipeline>(
                PipelineSettings{.table = {.hash_seed = 0}, .updates = Updates::all},
                std::move(
                    *LineEncoder::create({.run = 0, .host_name = "h", .fields = {}, .label_names = {}})));
        };
        const auto at_once = make();
        const auto one_by_one = make();
        const WallTime arrival{std::chrono::hours(1)};
        at_once->feed(batch, arrival);
        for (const auto datagram : batch) {
            one_by_one->feed(datagram, arrival);
        }
        CHECK(at_once->batch().lines() != 0);
        CHECK(at_once->batch().bytes() == one_by_one->batch().bytes());
    }
}

TEST_CASE("a flow's line read back is the flow again: what a restart builds on") {
    for (const auto& path : testing::capture_paths()) {
        INFO(path.stem().string());
        Pipeline pipeline(
            {.table = {.run = 9, .hash_seed = 0}, .updates = Updates::all},
            std::move(*LineEncoder::create({.run = 9, .host_name = "h", .fields = {}, .label_names = {}})));
        for (const auto& datagram : testing::read_capture(path)) {
            pipeline.batch().clear();
            pipeline.feed(datagram.bytes, datagram.arrival);
            std::istringstream text{std::string(pipeline.batch().bytes())};
            for (std::string line; std::getline(text, line);) {
                const auto logged = read_logged_line(line);
                REQUIRE(logged);
                CHECK(logged->run == 9);
                if (logged->what != LoggedLine::What::flow) {
                    continue;
                }
                const FlowRecord& record = logged->record;
                const auto live = pipeline.table().find(record.flow.key);
                REQUIRE(live);
                const Flow& flow = *live->flow;
                CHECK(record.flow.uid == flow.uid);
                CHECK(record.flow.kernel_id == flow.kernel_id);
                CHECK(record.flow.mark == flow.mark);
                CHECK(record.flow.mark_origin == flow.mark_origin);
                CHECK(record.flow.mark_changes == flow.mark_changes);
                CHECK(record.flow.protocol_state == flow.protocol_state);
                CHECK((record.flow.status.bits | 0x180U) == (flow.status.bits | 0x180U));
                CHECK(record.reply.has_value() == (live->reply != nullptr));
                if (live->reply != nullptr) {
                    CHECK(*record.reply == *live->reply);
                }
                CHECK(record.lineage.has_value() == (live->lineage != nullptr));
                if (live->lineage != nullptr) {
                    CHECK(record.lineage->parent == live->lineage->parent);
                    CHECK(record.lineage->root == live->lineage->root);
                    CHECK(record.lineage->depth == live->lineage->depth);
                }
                CHECK(record.tags.has_value() == (live->tags != nullptr));
                if (live->tags != nullptr) {
                    CHECK(record.tags->helper == live->tags->helper);
                    CHECK(record.tags->labels == live->tags->labels);
                }
            }
        }
    }
}

TEST_CASE("a line that is no line of flowkin's is not read back, and never harms") {
    CHECK(!read_logged_line(""));
    CHECK(!read_logged_line("{"));
    CHECK(!read_logged_line("[]"));
    CHECK(!read_logged_line(R"({"event":7,"conntrack":[],"@timestamp":1})"));
    CHECK(!read_logged_line(
        R"({"@timestamp":"2026-11-23T09:15:02.123456789Z","event":{"id":"zz","sequence":1}})"));
}
