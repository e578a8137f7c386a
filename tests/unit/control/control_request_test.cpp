// SPDX-License-Identifier: GPL-2.0-or-later
#include "control_request.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace flowkin;
using Command = ControlRequest::Command;

namespace {

constexpr FlowUid uid{0x0da17d9bd93c6495, 4};
const std::string uid_text = "0da17d9bd93c64950000000000000004";

ControlRequest parsed(const std::string& line) {
    const auto request = parse_control_request(line);
    if (!request) {
        FAIL(request.error().text);
    }
    return *request;
}

std::string refusal(const std::string& line) {
    const auto request = parse_control_request(line);
    CAPTURE(line);
    REQUIRE_FALSE(request);
    CHECK(request.error().fault == Fault::usage);
    CHECK(request.error().text.find('\n') == std::string::npos);
    return request.error().text;
}

FlowFilter filter(const std::string& members) {
    return parsed(R"({"command":"flows","filter":{)" + members + "}}").filter;
}

}  // namespace

TEST_CASE("each command is known by its name") {
    CHECK(parsed(R"({"command":"status"})").command == Command::status);
    CHECK(parsed(R"({"command":"flows"})").command == Command::flows);
    CHECK(parsed(R"({"command":"reconcile"})").command == Command::reconcile);
    CHECK(parsed(R"({"command":"rotate"})").command == Command::rotate);
    CHECK(parsed(R"( {"command" : "reload"} )"
                 "\r")
              .command == Command::reload);
}

TEST_CASE("family and id take what they look for") {
    const ControlRequest family = parsed(R"({"command":"family","uid":")" + uid_text + R"("})");
    CHECK(family.command == Command::family);
    CHECK(family.filter.uid == uid);
    const ControlRequest id = parsed(R"({"command":"id","id":4294967295})");
    CHECK(id.command == Command::id);
    CHECK(id.filter.kernel_id == 0xffffffff);
}

TEST_CASE("every member of a filter reaches its place") {
    const FlowFilter all =
        filter(R"("address":"fd01::2","port":21,"protocol":"tcp","mark":17,"mark_mask":255,)"
               R"("zone":5,"parent":")" +
               uid_text + '"');
    REQUIRE(all.address);
    CHECK(all.address->family == Family::ipv6);
    CHECK(all.address->address.bytes[0] == 0xfd);
    CHECK(all.address->address.bytes[15] == 2);
    CHECK(all.port == 21);
    CHECK(all.protocol == Protocol::tcp);
    CHECK(all.mark == 17U);
    CHECK(all.mark_mask == 255);
    CHECK(all.zone == 5);
    CHECK(all.parent == uid);
    CHECK_FALSE(all.root);
}

TEST_CASE("a protocol has a name or a number") {
    CHECK(filter(R"("protocol":"ipv6-icmp")").protocol == Protocol::ipv6_icmp);
    CHECK(filter(R"("protocol":47)").protocol == Protocol::gre);
    CHECK(filter(R"("protocol":253)").protocol == static_cast<Protocol>(253));
}

TEST_CASE("what is no request is refused in one line") {
    for (const std::string line :
         {"", "{", "null", "[]", "1", R"("status")", "{}", "\xff\xfe", R"({"command":1})",
          R"({"command":"statu"})", R"({"command":"status"}x)", R"({"command":["status"]})"}) {
        refusal(line);
    }
    refusal(std::string("{\"command\":\"status\0\"}", 21));
}

TEST_CASE("a request that is deeper than any is refused") {
    refusal(std::string(4000, '['));
    refusal(R"({"command":"flows","filter":)" + std::string(2000, '[') + std::string(2000, ']') + "}");
}

TEST_CASE("what is not understood is refused and never passed over") {
    CHECK(refusal(R"({"command":"status","filter":{}})") ==
          "the request's \"filter\" has no meaning with this command");
    CHECK(refusal(R"({"command":"flows","fitler":{}})").find("\"fitler\"") != std::string::npos);
    CHECK(refusal(R"({"command":"flows","filter":{"prot":"tcp"}})") ==
          "the request's \"filter\" has a member wrong: \"prot\" is not known; known are address, port, "
          "protocol, mark, mark_mask, zone, parent");
    CHECK(refusal(R"({"command":"flows","filter":[]})") == "the request's \"filter\" takes an object");
    CHECK(refusal(R"({"command":"family"})") == "family takes the \"uid\" of a member");
    CHECK(refusal(R"({"command":"id"})") == "id takes an \"id\" of the kernel's");
}

TEST_CASE("a value out of its range is refused with what is allowed") {
    const auto refused = [](const std::string& members) {
        return refusal(R"({"command":"flows","filter":{)" + members + "}}");
    };
    CHECK(refused(R"("port":65536)") ==
          "the request's \"filter\" has a member wrong: \"port\" takes an integer from 0 to 65535");
    CHECK(refused(R"("mark":4294967296)").find("from 0 to 4294967295") != std::string::npos);
    for (const char* members :
         {R"("port":-1)", R"("port":"21")", R"("port":21.0)", R"("zone":70000)", R"("address":"10.1.0")",
          R"("address":"10.1.0.2/24")", R"("address":"10.1.0.2\u0000x")", R"("address":7)",
          R"("protocol":"TCP")", R"("protocol":"")", R"("protocol":256)", R"("parent":"04")",
          R"("mark_mask":-1)", R"("parent":"0da17d9bd93c6495000000000000000g")"}) {
        refused(members);
    }
    refusal(R"({"command":"id","id":4294967296})");
    refusal(R"({"command":"family","uid":5})");
}

TEST_CASE("a name that is refused stands in the line as plain ASCII, cut where it is long") {
    const std::string line =
        refusal(R"({"command":"status",")" + std::string(3000, 'x') + R"(\u001b[2J":1})");
    CHECK(line.size() < 200);
    CHECK(refusal("{\"command\":\"status\",\"\xc3\xa4\\u001b\":1}") ==
          R"(the request's "\u00e4\u001b" has no meaning with this command)");
}
