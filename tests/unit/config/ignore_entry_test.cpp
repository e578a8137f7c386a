// SPDX-License-Identifier: GPL-2.0-or-later
#include "ignore_entry.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "config.hpp"

using namespace flowkin;

namespace {

std::string error_of(const std::string& list) {
    const auto config = parse_config("[filter]\nignore = " + list, "f");
    if (config) {
        return "no error";
    }
    CHECK(config.error().fault == Fault::configuration);
    return config.error().text;
}

}  // namespace

TEST_CASE("an entry is loopback, an address, a subnet, a port, a protocol, or protocol and port") {
    REQUIRE(parse_ignore_entry("loopback")->size() == 2);
    const IgnoreRule subnet = parse_ignore_entry("10.9.0.0/16")->front();
    CHECK(subnet.subnet->prefix_bits == 16);
    CHECK(subnet.subnet->family == Family::ipv4);
    CHECK_FALSE(subnet.port);
    CHECK(parse_ignore_entry("192.0.2.1")->front().subnet->prefix_bits == 32);
    CHECK(parse_ignore_entry("fd00::/8")->front().subnet->family == Family::ipv6);
    CHECK(parse_ignore_entry("::1")->front().subnet->prefix_bits == 128);
    CHECK(parse_ignore_entry("0.0.0.0/0")->front().subnet->prefix_bits == 0);
    CHECK(parse_ignore_entry("udp")->front().protocol == Protocol::udp);
    CHECK_FALSE(parse_ignore_entry("udp")->front().port);
    CHECK(parse_ignore_entry("53")->front().port == 53);
    CHECK_FALSE(parse_ignore_entry("53")->front().protocol);
    const IgnoreRule both = parse_ignore_entry("tcp/53")->front();
    CHECK(both.protocol == Protocol::tcp);
    CHECK(both.port == 53);
}

TEST_CASE("the list is taken as it is written, and printed so that it loads again") {
    const auto config =
        parse_config("[filter]\nignore = [\"loopback\", \"10.9.0.0/16\", \"udp\", \"tcp/53\"]", "f");
    REQUIRE(config);
    CHECK(config->filter.ignore == std::vector<std::string>{"loopback", "10.9.0.0/16", "udp", "tcp/53"});
    CHECK(*parse_config(print_config(*config), "f") == *config);
    CHECK(parse_config("filter.ignore = []", "f")->filter.ignore.empty());
    const std::vector<std::string> overrides{"filter.ignore=[\"icmp\"]"};
    CHECK(parse_config("", "f", overrides)->filter.ignore == std::vector<std::string>{"icmp"});
    CHECK(ignore_rules(config->filter.ignore).size() == 5);
}

TEST_CASE("a bad entry is named, with its place and what is allowed") {
    CHECK(error_of("[\"udp\", \"dns\"]") ==
          "f:2:1: filter.ignore: holds \"dns\"; allowed is " + IgnoreValue().allowed());
    for (const std::string entry :
         {"", " udp", "UDP", "tcp/", "tcp/0", "tcp/65536", "icmp/8", "0", "65536", "10.9.0.0/33", "10.9.0.0/",
          "10.9.0.0/-1", "10.9/16", "fd00::/129", "fd00::%1", "/53", "tcp/53/", "loopback/8", "-1"}) {
        CAPTURE(entry);
        CHECK(error_of("[\"" + entry + "\"]").find("f:2:1: filter.ignore: holds \"" + entry + "\";") == 0);
    }
    CHECK(error_of("[\"udp\", \"udp\"]").find("holds \"udp\" twice;") != std::string::npos);
    CHECK(error_of("[53]").find("holds integers;") != std::string::npos);
    CHECK(error_of("\"udp\"").find("is a string;") != std::string::npos);
    CHECK(error_of("[\"udp\", 53]").find("is an array;") != std::string::npos);
    std::string many;
    for (int port = 1; port <= 65; ++port) {
        many += (many.empty() ? "\"" : ", \"") + std::to_string(port) + '"';
    }
    CHECK(error_of('[' + many + ']').find("holds 65 entries;") != std::string::npos);
}
