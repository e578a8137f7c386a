// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.hpp"

#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>
#include <vector>

#include "config.hpp"

using namespace flowkin;

namespace {

Result<Options> parsed(std::initializer_list<const char*> arguments) {
    std::vector<const char*> argv = {"flowkin"};
    argv.insert(argv.end(), arguments);
    return parse_options(static_cast<int>(argv.size()), argv.data());
}

std::string error_of(std::initializer_list<const char*> arguments) {
    const auto options = parsed(arguments);
    if (options) {
        return "no error";
    }
    CHECK(options.error().fault == Fault::usage);
    CHECK(options.error().text.find('\n') == std::string::npos);
    return options.error().text;
}

}  // namespace

TEST_CASE("without options the daemon runs by the default configuration") {
    const auto options = parsed({});
    REQUIRE(options);
    CHECK(options->mode == Mode::monitor);
    CHECK_FALSE(options->config_file);
    CHECK(options->overrides.empty());
    CHECK_FALSE(options->capture_file);
}

TEST_CASE("the daemon takes a configuration, overrides and a capture") {
    const auto options = parsed({"--config", "/a b.toml", "--set", "output.updates=all",
                                 "--set=log.level=debug", "--capture", "c.pcap"});
    REQUIRE(options);
    CHECK(options->mode == Mode::monitor);
    CHECK(options->config_file == "/a b.toml");
    CHECK(options->overrides == std::vector<std::string>{"output.updates=all", "log.level=debug"});
    CHECK(options->capture_file == "c.pcap");
}

TEST_CASE("--netns is an override of its key, whatever it holds") {
    const auto options = parsed({"--netns", "5"});
    REQUIRE(options);
    const auto config = parse_config("conntrack.netns = \"blue\"", "f", options->overrides);
    REQUIRE(config);
    CHECK(config->conntrack.netns == "5");

    const auto odd = parsed({"--netns", "a\"b]"});
    REQUIRE(odd);
    CHECK(parse_config("", "f", odd->overrides)->conntrack.netns == "a\"b]");
}

TEST_CASE("--version is one line with the version and that of the event format") {
    const auto options = parsed({"--version"});
    REQUIRE(options);
    CHECK(options->mode == Mode::show_text);
    CHECK_THAT(options->text, Catch::Matches(R"(flowkin \d+\.\d+\.\d+ \(event format 1\)\n)"));
}

TEST_CASE("--help names every option") {
    const auto options = parsed({"--help"});
    REQUIRE(options);
    CHECK(options->mode == Mode::show_text);
    for (const auto* option :
         {"--config", "--netns", "--set", "--capture", "--check-config", "--print-config", "--version",
          "--replay", "--run-id", "--verify", "--story", "--at", "--json"}) {
        CHECK(options->text.find(option) != std::string::npos);
    }
}

TEST_CASE("--check-config and --print-config go with a configuration and overrides") {
    const auto check = parsed({"--check-config", "--config", "x", "--set", "a=b", "--netns", "n"});
    REQUIRE(check);
    CHECK(check->mode == Mode::check_config);
    CHECK(check->overrides.size() == 2);
    const auto print = parsed({"--set", "a=b", "--print-config"});
    REQUIRE(print);
    CHECK(print->mode == Mode::print_config);
}

TEST_CASE("a replay takes a capture and a run") {
    const auto options =
        parsed({"--replay", "c.pcap", "--run-id", "5f3a9c1e7b42d010", "--set", "output.updates=all"});
    REQUIRE(options);
    CHECK(options->mode == Mode::replay);
    CHECK(options->replay_file == "c.pcap");
    CHECK(options->replay_run == 0x5f3a9c1e7b42d010);
    CHECK(parsed({"--replay", "c.pcap"})->replay_run == 0);
}

TEST_CASE("--verify takes logs in their order, - among them") {
    const auto options = parsed({"--verify", "b.ndjson", "-", "a.ndjson"});
    REQUIRE(options);
    CHECK(options->mode == Mode::verify);
    CHECK(options->verify_files == std::vector<std::string>{"b.ndjson", "-", "a.ndjson"});
}

TEST_CASE("--story takes what is asked for, then logs") {
    const auto options = parsed({"--story", "10.1.0.2:21", "a.ndjson", "-", "--at", "09:16", "--json"});
    REQUIRE(options);
    CHECK(options->mode == Mode::story);
    CHECK(options->story_what == "10.1.0.2:21");
    CHECK(options->story_files == std::vector<std::string>{"a.ndjson", "-"});
    CHECK(options->story_at == "09:16");
    CHECK(options->story_json);
    const auto plain = parsed({"--story", "7", "a"});
    CHECK_FALSE(plain->story_at);
    CHECK_FALSE(plain->story_json);
    CHECK(error_of({"--story", "7"}) ==
          "--story takes what is asked for and at least one file; see flowkin --help");
    CHECK(error_of({"--verify", "a", "--at", "09:16"}) ==
          "--at has no meaning with --verify; see flowkin --help");
    CHECK(error_of({"--story", "7", "a", "--set", "b=c"}) ==
          "--set has no meaning with --story; see flowkin --help");
}

TEST_CASE("options that do not go together are refused") {
    CHECK(error_of({"--replay", "a", "--capture", "b"}) ==
          "--capture has no meaning with --replay; see flowkin --help");
    CHECK(error_of({"--replay", "a", "--netns", "b"}) ==
          "--netns has no meaning with --replay; see flowkin --help");
    CHECK(error_of({"--run-id", "1"}) == "--run-id has no meaning without --replay; see flowkin --help");
    CHECK(error_of({"--run-id", "1", "--check-config"}) ==
          "--run-id has no meaning with --check-config; see flowkin --help");
    CHECK(error_of({"--verify", "a", "--set", "b=c"}) ==
          "--set has no meaning with --verify; see flowkin --help");
    CHECK(error_of({"--check-config", "--print-config"}) ==
          "--check-config and --print-config exclude each other; see flowkin --help");
    CHECK(error_of({"--replay", "a", "--verify", "b"}) ==
          "--replay and --verify exclude each other; see flowkin --help");
}

TEST_CASE("what is no option, or lacks its value, is refused in one line") {
    CHECK(error_of({"--bogus"}) == "The following argument was not expected: --bogus; see flowkin --help");
    CHECK(error_of({"x.toml"}) == "The following argument was not expected: x.toml; see flowkin --help");
    CHECK(error_of({"--set"}) == "--set: 1 required KEY=VALUE missing; see flowkin --help");
    CHECK(error_of({"--verify"}) != "no error");
    CHECK(error_of({"--set", "a=b", "c=d"}) ==
          "The following argument was not expected: c=d; see flowkin --help");
    CHECK(error_of({"--config", ""}) == "--config takes the name of a file; see flowkin --help");
    CHECK(error_of({"--config", "a", "--config", "b"}) != "no error");
}

TEST_CASE("a run is up to 16 hexadecimal digits") {
    for (const auto* run : {"xyz", "0x1f", "", "-1", "12345678901234567", "1 "}) {
        CAPTURE(run);
        CHECK(error_of({"--replay", "a", "--run-id", run}) ==
              "--run-id takes 1 to 16 hexadecimal digits; see flowkin --help");
    }
}
