// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "family_tree.hpp"
#include "flow_text.hpp"
#include "quantity_text.hpp"
#include "status_screen.hpp"

using namespace flowkin;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

std::string uid(char last) {
    return std::string(31, '0') + last;
}

json flow(char last, char parent = '0') {
    json made = {{"network", {{"transport", "tcp"}}},
                 {"source", {{"ip", "10.1.0.2"}, {"port", 40000}}},
                 {"destination", {{"ip", "fd01::2"}, {"port", 21}}},
                 {"conntrack", {{"uid", uid(last)}, {"mark", 0}, {"tcp", {{"state", "ESTABLISHED"}}}}}};
    if (parent != '0') {
        made["conntrack"]["parent"] = {{"uid", uid(parent)}};
    }
    return made;
}

}  // namespace

TEST_CASE("quantities read as a person says them") {
    CHECK(bytes_text(0) == "0 B");
    CHECK(bytes_text(1023) == "1023 B");
    CHECK(bytes_text(1536) == "1.5 KiB");
    CHECK(bytes_text(64ULL << 20U) == "64 MiB");
    CHECK(bytes_text(UINT64_MAX) == "16 EiB");
    CHECK(duration_text(0ns) == "0 s");
    CHECK(duration_text(125s) == "2 min 5 s");
    CHECK(duration_text(76h + 59min) == "3 d 4 h");
}

TEST_CASE("no text from outside reaches a terminal as a control sequence") {
    CHECK(printable("ftp\x1b[2J\n\x7f") == "ftp?[2J??");
    CHECK(printable("\xc2\x9b"
                    "2J")
              .find('\xc2') == std::string::npos);
    json odd = flow('1');
    odd["conntrack"]["helper"] = "\x1b]0;x\x07";
    CHECK(flow_row(odd).find('\x1b') == std::string::npos);
}

TEST_CASE("a row shows both ends, the state and where the mark comes from") {
    json marked = flow('1', '2');
    marked["conntrack"]["mark"] = 17U;
    marked["conntrack"]["mark_origin"] = "inherited";
    marked["source"]["nat"] = {{"ip", "192.0.2.1"}, {"port", 50000}};
    CHECK(flow_row(marked) ==
          uid('1') +
              "  tcp        10.1.0.2:40000         [fd01::2]:21           ESTABLISHED  0x11 inherited   "
              "source as 192.0.2.1:50000, child of " +
              uid('2'));
    CHECK(flow_row(flow('1')) ==
          uid('1') + "  tcp        10.1.0.2:40000         [fd01::2]:21           ESTABLISHED");
}

TEST_CASE("whatever a flow lacks or has of another type, there is a row") {
    for (const char* text : {"{}", "[]", "null", R"({"conntrack":7,"source":[],"network":{"transport":{}}})",
                             R"({"conntrack":{"uid":3,"mark":"x","parent":{"tuple":5}}})"}) {
        CHECK_NOTHROW(flow_row(json::parse(text)));
        CHECK_NOTHROW(flow_label(json::parse(text)));
        CHECK_NOTHROW(status_screen(json::parse(text)));
    }
}

TEST_CASE("a family is a tree, the earlier born first") {
    FamilyTree tree;
    tree.add(flow('4', '2'));
    tree.add(flow('3', '1'));
    tree.add(flow('2', '1'));
    tree.add(flow('1'));
    const auto label = [](char last, char parent) { return flow_label(flow(last, parent)) + '\n'; };
    CHECK(tree.text(uid('1')) ==
          label('1', '0') + "├─ " + label('2', '1') + "│  └─ " + label('4', '2') + "└─ " + label('3', '1'));
}

TEST_CASE("who lives no more keeps a place in the tree") {
    FamilyTree tree;
    tree.add(flow('3', '2'));
    CHECK(tree.text(uid('1')) == uid('1') + "  lives no more\n└─ " + uid('2') + "  lives no more\n   └─ " +
                                     flow_label(flow('3', '2')) + '\n');
}

TEST_CASE("a status fits a screen and shows what was lost") {
    const json status = json::parse(R"({"version":"1","state":"running",
        "totals":{"lost_kernel_socket":7,"lost_packets":1,"lost_sink_lines":3},
        "settings":{"acct":1},"warnings":["first","second"]})");
    const std::string screen = status_screen(status);
    CHECK(screen.find("lost      7 events and 1 packets at the kernel's sockets, 3 lines\n") !=
          std::string::npos);
    CHECK(screen.find("settings  acct 1, timestamp unknown, events unknown\n") != std::string::npos);
    CHECK(screen.find("warnings  first\n          second\n") != std::string::npos);
}
