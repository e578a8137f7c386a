// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every capture through the whole pipeline: its lines are compared with tests/golden/lines/<capture>.ndjson
// byte for byte, and with what the oracle makes of each event. FLOWKIN_REWRITE_GOLDEN=1 writes the files
// anew; read the diff then.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "json/line_encoder.hpp"
#include "netlink/decode.hpp"
#include "pipeline/pipeline.hpp"
#include "support/captures.hpp"
#include "support/line_oracle.hpp"

using namespace flowkin;
namespace fs = std::filesystem;

namespace {

LineEncoderSettings settings() {
    return {.run = 0, .host_name = "golden", .fields = {}, .label_names = {}};
}

std::string replayed(const fs::path& capture) {
    Pipeline pipeline({.table = {.hash_seed = 0}, .updates = Updates::all},
                      std::move(*LineEncoder::create(settings())));
    const auto datagrams = testing::read_capture(capture);
    for (const testing::CapturedDatagram& datagram : datagrams) {
        if (pipeline.feed(datagram.bytes, datagram.arrival).done) {
            pipeline.table().abandon_reconcile(datagram.arrival);
        }
    }
    pipeline.table().tick(datagrams.back().arrival + seconds(1));
    pipeline.packets().let_all_go();
    for (const std::uint64_t faults : pipeline.counters().faults) {
        CHECK(faults == 0);
    }
    return std::string(pipeline.batch().bytes());
}

std::string slurp(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

/// Encodes each event twice, and compares.
class TwiceEncoded final : public EventReceiver {
  public:
    void receive(const Event& event) override {
        ++count;
        batch_.clear();
        encoder_.encode(event, count, batch_);
        const std::string_view line = batch_.bytes();
        CHECK(line.size() < 4096);
        CHECK(line.back() == '\n');
        CHECK(line.find('\n') == line.size() - 1);
        CHECK(nlohmann::json::parse(line) == expected_line(event, settings(), count));
    }
    std::uint64_t count = 0;

  private:
    LineEncoder encoder_ = std::move(*LineEncoder::create(settings()));
    LineBatch batch_;
};

}  // namespace

TEST_CASE("each capture gives the lines that are on record for it") {
    const auto paths = testing::capture_paths();
    REQUIRE(paths.size() >= 13);
    for (const fs::path& capture : paths) {
        INFO(capture.stem().string());
        const fs::path golden =
            capture.parent_path().parent_path() / "lines" / capture.stem().concat(".ndjson");
        const std::string lines = replayed(capture);
        CHECK(!lines.empty());
        if (std::getenv("FLOWKIN_REWRITE_GOLDEN") != nullptr) {
            std::ofstream(golden) << lines;
        }
        CHECK(lines == slurp(golden));
    }
}

TEST_CASE("a replay of the same capture gives the same bytes") {
    for (const fs::path& capture : testing::capture_paths()) {
        CHECK(replayed(capture) == replayed(capture));
    }
}

TEST_CASE("each line of each capture says what its event says, field by field") {
    std::uint64_t events = 0;
    for (const fs::path& capture : testing::capture_paths()) {
        INFO(capture.stem().string());
        TwiceEncoded receiver;
        FlowTable table({.hash_seed = 0}, receiver);
        Decoded decoded{Skipped{}};
        for (const testing::CapturedDatagram& datagram : testing::read_capture(capture)) {
            for (MessageReader reader(datagram.bytes); reader.next(decoded);) {
                if (const auto* flow = std::get_if<FlowMessage>(&decoded)) {
                    table.apply(*flow, datagram.arrival);
                } else if (const auto* expectation = std::get_if<ExpectationMessage>(&decoded)) {
                    table.apply(*expectation, datagram.arrival);
                }
            }
        }
        events += receiver.count;
    }
    CHECK(events > 100);
}
