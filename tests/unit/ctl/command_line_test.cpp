// SPDX-License-Identifier: GPL-2.0-or-later
#include "command_line.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace flowkin;

namespace {

Result<CommandLine> parsed(const std::vector<const char*>& arguments) {
    std::vector<const char*> words = {"flowkinctl"};
    for (const char* argument : arguments) {
        words.push_back(argument);
    }
    return parse_command_line(static_cast<int>(words.size()), words.data());
}

std::string request(const std::vector<const char*>& words) {
    const auto options = parsed(words);
    if (!options) {
        FAIL(options.error().text);
    }
    return options->request;
}

}  // namespace

TEST_CASE("a command becomes one line") {
    CHECK(request({"status"}) == "{\"command\":\"status\"}\n");
    CHECK(request({"flows"}) == "{\"command\":\"flows\",\"filter\":{}}\n");
    CHECK(request({"family", "0da17d9bd93c64950000000000000004"}) ==
          "{\"command\":\"family\",\"uid\":\"0da17d9bd93c64950000000000000004\"}\n");
    CHECK(request({"id", "0xff"}) == "{\"command\":\"id\",\"id\":255}\n");
    CHECK(request({"reload"}) == "{\"command\":\"reload\"}\n");
}

TEST_CASE("every filter of flows is in the request") {
    CHECK(request({"flows", "--address", "10.1.0.2", "--port", "21", "--protocol", "tcp", "--mark",
                   "0x10/0xff", "--zone", "5", "--parent", "ab"}) ==
          "{\"command\":\"flows\",\"filter\":{\"port\":21,\"zone\":5,\"mark\":16,\"mark_mask\":255,"
          "\"address\":\"10.1.0.2\",\"protocol\":\"tcp\",\"parent\":\"ab\"}}\n");
    CHECK(request({"flows", "--protocol", "47", "--mark", "17"}) ==
          "{\"command\":\"flows\",\"filter\":{\"mark\":17,\"mark_mask\":4294967295,\"protocol\":47}}\n");
}

TEST_CASE("common options stand before or behind the command") {
    for (const auto& options :
         {parsed({"--socket", "/a/b", "--json", "flows"}), parsed({"flows", "--socket", "/a/b", "--json"})}) {
        REQUIRE(options);
        CHECK(options->socket == "/a/b");
        CHECK(options->json);
    }
    CHECK(parsed({"status"})->socket == "/run/flowkin/control.sock");
}

TEST_CASE("a wrong command line is refused in one line") {
    for (const std::vector<const char*>& words :
         std::vector<std::vector<const char*>>{{},
                                               {"stat"},
                                               {"status", "flows"},
                                               {"flows", "--port", "65536"},
                                               {"flows", "--port", "x"},
                                               {"flows", "--zone", "-1"},
                                               {"flows", "--mark", "1/"},
                                               {"flows", "--mark", "0x100000000"},
                                               {"flows", "--what"},
                                               {"family"},
                                               {"id", "4294967296"},
                                               {"id", "-1"},
                                               {"id", "1", "2"}}) {
        const auto options = parsed(words);
        REQUIRE_FALSE(options);
        CHECK(options.error().fault == Fault::usage);
        CHECK(options.error().text.find('\n') == std::string::npos);
        CHECK(options.error().text.ends_with("; see flowkinctl --help"));
    }
}

TEST_CASE("bytes that are no text still make a line of JSON") {
    CHECK(request({"family", "\xff"}) == "{\"command\":\"family\",\"uid\":\"\\ufffd\"}\n");
}

TEST_CASE("help and version ask for nothing") {
    CHECK(parsed({"--version"})->show == CommandLine::Show::text);
    CHECK(parsed({"--help"})->text.find("flows") != std::string::npos);
    CHECK(parsed({"flows", "--help"})->text.find("--zone") != std::string::npos);
}
