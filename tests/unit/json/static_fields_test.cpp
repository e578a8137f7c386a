// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "sample.hpp"

namespace flowkin {
namespace {

using nlohmann::json;

LineEncoderSettings with(StaticFields fields) {
    LineEncoderSettings settings;
    settings.host_name = "fw1";
    settings.fields = std::move(fields);
    return settings;
}

std::string refusal(StaticFields fields) {
    const auto encoder = LineEncoder::create(with(std::move(fields)));
    REQUIRE(!encoder);
    CHECK(encoder.error().fault == Fault::configuration);
    return encoder.error().text;
}

TEST_CASE("static fields become nested objects, each of which stands once on a line") {
    LineEncoder encoder = *LineEncoder::create(with({{"labels.site", "north"},
                                                     {"labels.rack", "7"},
                                                     {"host.ip", "192.0.2.1"},
                                                     {"organization.name", "acme"}}));
    const std::string line = samples::line_of(encoder, LossEvent{}, 1);
    CHECK(line.find(R"("host":{"name":"fw1","ip":"192.0.2.1"},"labels":{"rack":"7","site":"north"},)") !=
          std::string::npos);
    CHECK(json::parse(line)["organization"]["name"] == "acme");
}

TEST_CASE("a line's id stands in its first 128 bytes, however much is the same on every line") {
    LineEncoderSettings settings = with({{"labels.note", std::string(700, 'x')}});
    settings.host_name = std::string(64, 'h');
    LineEncoder encoder = *LineEncoder::create(settings);
    const std::string line = samples::line_of(encoder, LossEvent{}, 0x7fffffffffffffff);
    const auto id = json::parse(line)["event"]["id"].get<std::string>();
    REQUIRE(id.size() == 32);
    CHECK(line.substr(0, 128).find('"' + id + '"') != std::string::npos);
}

TEST_CASE("a static field's value may hold any bytes") {
    LineEncoder encoder = *LineEncoder::create(with({{"labels.odd", "\"\n\xff"}}));
    CHECK(json::parse(samples::line_of(encoder, LossEvent{}, 1))["labels"]["odd"] == "\"\n\xef\xbf\xbd");
}

TEST_CASE("a static field that collides with a field of ours is refused by name") {
    for (const char* path : {"event.module", "network.name", "source.ip", "destination", "conntrack.site",
                             "@timestamp", "ecs.version", "host", "host.name"}) {
        CHECK(refusal({{path, "x"}}).find('"' + std::string(path) + "\" is flowkin's own") !=
              std::string::npos);
    }
}

TEST_CASE("a static field that shippers own is refused by name") {
    for (const char* path :
         {"type", "message", "error", "log", "agent", "input", "@metadata", "error.code", "log.level"}) {
        CHECK(refusal({{path, "x"}}).find('"' + std::string(path) + "\" would collide") != std::string::npos);
    }
}

TEST_CASE("a static field below or above another is refused") {
    CHECK(refusal({{"labels", "x"}, {"labels.site", "y"}}).find("\"labels.site\"") != std::string::npos);
    CHECK(refusal({{"host.name.first", "x"}}).find("\"host.name.first\"") != std::string::npos);
}

TEST_CASE("a static field that is no dotted path is refused") {
    for (const char* path : {"", ".", "a.", ".a", "a..b", "a b", "a\"b", "labels.\xc3\xa9"}) {
        CHECK(refusal({{path, "x"}}).find("is no dotted path") != std::string::npos);
    }
}

TEST_CASE("static fields that are too long together are refused") {
    CHECK(LineEncoder::create(with({{"labels.note", std::string(800, 'x')}})));
    CHECK(refusal({{"labels.note", std::string(900, 'x')}}).find("at most 896") != std::string::npos);
}

TEST_CASE("labels stand by name where they have one and the list stays short") {
    samples::FlowSample sample;
    sample.flow.uid = {1, 1};
    sample.flow.key.original = samples::tuple(Protocol::tcp, "192.0.2.1", 1, "192.0.2.2", 2);
    sample.tags.labels.bytes[0] = 0b111;
    sample.tags.labels.bytes[15] = 0x80;
    sample.with_tags();
    LineEncoderSettings settings = with({});
    settings.label_names = {{0, "in\"side"}, {2, std::string(1000, 'x')}, {500, "no such bit"}};
    LineEncoder encoder = *LineEncoder::create(settings);
    CHECK(json::parse(samples::line_of(encoder, sample.event, 1))["conntrack"]["labels"] ==
          json::parse(R"(["in\"side",1,2,127])"));
}

}  // namespace
}  // namespace flowkin
