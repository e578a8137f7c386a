// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story_question.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace flowkin;

namespace {

template <class Subject>
Subject subject(std::string_view what) {
    CAPTURE(std::string(what));
    const auto question = parse_story_question(what, std::nullopt);
    REQUIRE(question);
    REQUIRE(std::holds_alternative<Subject>(question->subject));
    return std::get<Subject>(question->subject);
}

bool sieve_passes(std::string_view what, std::string_view line) {
    return LineSieve(*parse_story_question(what, std::nullopt)).passes(line);
}

}  // namespace

TEST_CASE("a uid is asked for in either case") {
    const Uid uid{0x5f3a9c1e7b42d010, 0x1a7};
    CHECK(subject<Uid>("5f3a9c1e7b42d01000000000000001a7") == uid);
    CHECK(subject<Uid>("5F3A9C1E7B42D01000000000000001A7") == uid);
}

TEST_CASE("a CTA_ID is asked for as conntrack prints it, or in hexadecimal") {
    CHECK(subject<AskedKernelId>("990143872").id == 990143872);
    CHECK(subject<AskedKernelId>("0x3b045d80").id == 0x3b045d80);
    CHECK(subject<AskedKernelId>("0").id == 0);
    CHECK(subject<AskedKernelId>("4294967295").id == 0xffffffff);
}

TEST_CASE("a Community ID is asked for as the log has it") {
    CHECK(subject<AskedCommunityId>("1:hggek9pOhdwmeMvJtKyBzeKOsnc=").text ==
          "1:hggek9pOhdwmeMvJtKyBzeKOsnc=");
}

TEST_CASE("an end is an address, with or without its port") {
    const AskedEnd four = subject<AskedEnds>("198.51.100.7:40314").end;
    CHECK(four.ip == "198.51.100.7");
    CHECK(four.port == 40314);
    CHECK_FALSE(subject<AskedEnds>("198.51.100.7").end.port);

    const AskedEnd six = subject<AskedEnds>("[2001:DB8:0:0::20]:5353").end;
    CHECK(six.ip == "2001:db8::20");
    CHECK(six.port == 5353);
    CHECK(subject<AskedEnds>("2001:db8::20").end.ip == "2001:db8::20");
    CHECK(subject<AskedEnds>("[2001:db8::20]").end.ip == "2001:db8::20");
}

TEST_CASE("two ends are asked for as they are told, or with a dash or a blank between them") {
    for (const std::string what :
         {"10.1.0.2:4242-10.2.0.2:21", "10.1.0.2:4242 10.2.0.2:21", "10.1.0.2:4242->10.2.0.2:21",
          "10.1.0.2:4242 → 10.2.0.2:21", " 10.1.0.2:4242 - 10.2.0.2:21 "}) {
        const auto ends = subject<AskedEnds>(what);
        CHECK(ends.end.port == 4242);
        REQUIRE(ends.peer);
        CHECK(ends.peer->ip == "10.2.0.2");
        CHECK(ends.peer->port == 21);
    }
    CHECK(subject<AskedEnds>("[fd01::2]-[fd02::2]:53").peer->port == 53);
}

TEST_CASE("what is none of these is refused in one line") {
    for (const std::string what : {"",
                                   " ",
                                   "router",
                                   "10.1.0",
                                   "10.1.0.2:",
                                   "10.1.0.2:65536",
                                   "10.1.0.2:x",
                                   "[fd01::2",
                                   "[fd01::2]53",
                                   "[fd01::2]:",
                                   "4294967296",
                                   "0x",
                                   "0x100000000",
                                   "-1",
                                   "1:tooshort=",
                                   "10.1.0.2-",
                                   "-10.1.0.2",
                                   "10.1.0.2 10.2.0.2 10.3.0.2",
                                   "5f3a9c1e7b42d01000000000000001g7",
                                   "fd01::2%eth0",
                                   "[]:1"}) {
        CAPTURE(what);
        const auto question = parse_story_question(what, std::nullopt);
        REQUIRE_FALSE(question);
        CHECK(question.error().fault == Fault::usage);
        CHECK(question.error().text.find('\n') == std::string::npos);
    }
    const auto question = parse_story_question("10.1.0.2", "noon");
    REQUIRE_FALSE(question);
    CHECK(question.error().fault == Fault::usage);
}

TEST_CASE("no line that may be an answer is held back by the sieve") {
    const std::string line =
        R"({"source":{"ip":"10.1.0.2","port":40314},"conntrack":{"id":77},"network":{"community_id":"1:ab\/cd"}})";
    CHECK(sieve_passes("10.1.0.2", line));
    CHECK(sieve_passes("10.1.0.2:40314", line));
    CHECK(sieve_passes("77", line));
    CHECK_FALSE(sieve_passes("10.1.0.2:40315", line));
    CHECK_FALSE(sieve_passes("10.1.0.3:40314", line));
    CHECK_FALSE(sieve_passes("10.1.0.2:40314-10.2.0.2", line));
    // A slash may be escaped in JSON.
    const std::string escaped = R"({"community_id":"1:\/czo9WugFUslH9MYSVBwN\/1QCI8="})";
    CHECK(sieve_passes("1:/czo9WugFUslH9MYSVBwN/1QCI8=", escaped));
}
