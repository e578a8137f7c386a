// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "config.hpp"

using namespace flowkin;

namespace {

/// The error line of a configuration file named "f".
std::string error_of(std::string_view text) {
    const auto config = parse_config(text, "f");
    if (config) {
        return "no error";
    }
    CHECK(config.error().fault == Fault::configuration);
    CHECK(config.error().text.find('\n') == std::string::npos);
    return config.error().text;
}

/// The error line of one override.
std::string override_error_of(const std::string& text) {
    const std::vector<std::string> overrides = {text};
    const auto config = parse_config("", "f", overrides);
    if (config) {
        return "no error";
    }
    CHECK(config.error().fault == Fault::configuration);
    CHECK(config.error().text.find('\n') == std::string::npos);
    return config.error().text;
}

}  // namespace

TEST_CASE("an unknown key is answered with its place and the key that was probably meant") {
    CHECK(error_of("[output]\n  update = \"all\"") ==
          "f:2:3: output.update: unknown key; did you mean output.updates?");
    CHECK(error_of("[output]\nlevel = \"info\"") ==
          "f:2:1: output.level: unknown key; did you mean log.level?");
    CHECK(error_of("\n\nrotate_keep = 3") ==
          "f:3:1: rotate_keep: unknown key; did you mean output.rotate_keep?");
    CHECK(error_of("\"output.updates\" = \"all\"") ==
          "f:1:1: \"output.updates\": unknown key; did you mean output.updates?");
}

TEST_CASE("an unknown key that resembles none is answered with the keys of its section") {
    CHECK(error_of("[state]\nfrequency = 3") ==
          "f:2:1: state.frequency: unknown key; known are state.path, state.interval");
}

TEST_CASE("a key that is far too long is answered without looking for a near one") {
    const std::string name(200, 'k');
    CHECK(error_of("[log]\n" + name + " = 1") == "f:2:1: log." + name + ": unknown key; known are log.level");
}

TEST_CASE("an unknown section is answered like a key") {
    CHECK(error_of("[outptu]\npath = 1") == "f:1:2: outptu: unknown section; did you mean output?");
    CHECK(error_of("[elasticsearch]") ==
          "f:1:2: elasticsearch: unknown section; known sections are conntrack, packets, filter, table, "
          "output, state, metrics, control, log");
    CHECK(error_of("[log.file]") == "f:1:6: log.file: unknown key; known are log.level");
}

TEST_CASE("a name in an error line is quoted where it holds what would break the line") {
    CHECK(
        error_of("\"a\\nb\" = 1") ==
        R"(f:1:1: "a\u000ab": unknown key; known sections are conntrack, packets, filter, table, output, state, metrics, control, log)");
}

TEST_CASE("the first error in the order of the file is told") {
    CHECK(error_of("[table]\nz = 1\na = 1\n[conntrack]\nq = 1") ==
          "f:2:1: table.z: unknown key; known are table.capacity");
}

TEST_CASE("a value of a wrong type is answered with what is allowed") {
    CHECK(error_of("[output]\nqueue = true") ==
          "f:2:1: output.queue: is a boolean; allowed is a size from \"1MiB\" to \"4GiB\"");
    CHECK(error_of("[state]\ninterval = 60") ==
          "f:2:1: state.interval: is an integer; allowed is a duration from \"1s\" to \"365d\", in ms, s, m, "
          "h or d");
    CHECK(error_of("[output]\nrotate_keep = \"10\"") ==
          "f:2:1: output.rotate_keep: is a string; allowed is an integer from 1 to 10000");
    CHECK(error_of("[output]\nrotate_keep = 1.5") ==
          "f:2:1: output.rotate_keep: is a fraction; allowed is an integer from 1 to 10000");
    CHECK(error_of("[output]\npath = [\"/a\"]") ==
          "f:2:1: output.path: is an array; allowed is an absolute path");
    CHECK(error_of("[output.path]\nx = 1") == "f:1:9: output.path: is a table; allowed is an absolute path");
    CHECK(
        error_of("[log]\nlevel = 1979-05-27") ==
        "f:2:1: log.level: is a date or time; allowed is one of \"trace\", \"debug\", \"info\", \"warning\", "
        "\"error\"");
    CHECK(error_of("output = 5") == "f:1:1: output: an integer where the section [output] is meant");
    CHECK(error_of("[[output]]\npath = \"/x\"") ==
          "f:1:3: output: an array where the section [output] is meant");
}

TEST_CASE("a value out of its range is answered with the range") {
    CHECK(error_of("[conntrack]\nreceive_buffer = \"63KiB\"") ==
          "f:2:1: conntrack.receive_buffer: \"63KiB\" is too small; allowed is a size from \"64KiB\" to "
          "\"2GiB\"");
    CHECK(error_of("[conntrack]\nreceive_buffer = 2147483649") ==
          "f:2:1: conntrack.receive_buffer: 2147483649 is too large; allowed is a size from \"64KiB\" to "
          "\"2GiB\"");
    CHECK(error_of("[output]\nqueue = -1") ==
          "f:2:1: output.queue: -1 is too small; allowed is a size from \"1MiB\" to \"4GiB\"");
    CHECK(error_of("[output]\nrotate_size = \"64MB\"") ==
          "f:2:1: output.rotate_size: \"64MB\" is not a size; allowed is a size from \"1MiB\" to "
          "\"1024GiB\", or \"off\"");
    CHECK(error_of("[conntrack]\nreconcile_interval = \"9s\"") ==
          "f:2:1: conntrack.reconcile_interval: \"9s\" is too short; allowed is a duration from \"10s\" to "
          "\"365d\", in "
          "ms, s, m, h or d, or \"off\"");
    CHECK(error_of("[state]\ninterval = \"366d\"") ==
          "f:2:1: state.interval: \"366d\" is too long; allowed is a duration from \"1s\" to \"365d\", in "
          "ms, s, m, h or "
          "d");
    CHECK(error_of("[state]\ninterval = \"off\"") ==
          "f:2:1: state.interval: \"off\" is not a duration; allowed is a duration from \"1s\" to \"365d\", "
          "in ms, s, m, "
          "h or d");
    CHECK(error_of("[output]\nrotate_keep = 0") ==
          "f:2:1: output.rotate_keep: 0 is too small; allowed is an integer from 1 to 10000");
    CHECK(error_of("[table]\ncapacity = 67108865") ==
          "f:2:1: table.capacity: 67108865 is too large; allowed is an integer from 0 to 67108864");
    CHECK(error_of("[output]\nupdates = \"some\"") ==
          "f:2:1: output.updates: \"some\" is none of them; allowed is one of \"none\", \"significant\", "
          "\"all\"");
    CHECK(error_of("[output]\nupdates = \"All\"") ==
          "f:2:1: output.updates: \"All\" is none of them; allowed is one of \"none\", \"significant\", "
          "\"all\"");
}

TEST_CASE("only what no other machine can reach is listened on") {
    for (const char* address : {"0.0.0.0:9464", "[::]:9464", "10.1.0.1:9464", "localhost:9464", "127.0.0.1",
                                "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:9464 ", "127.0.0.1:+1",
                                "[::1]:", "::1:9464", ":9464", "metrics.sock", "/run/", "", "@abstract"}) {
        CHECK(error_of("[metrics]\nlisten = \"" + std::string(address) + '"') ==
              "f:2:1: metrics.listen: \"" + std::string(address) +
                  "\" is neither; allowed is the absolute path of a unix socket (at most 107 bytes), "
                  "127.0.0.1:PORT or [::1]:PORT, or \"off\"");
    }
    const std::string longest = '/' + std::string(106, 'a');
    CHECK(error_of("metrics.listen = \"" + longest + '"') == "no error");
    CHECK(error_of("metrics.listen = \"" + longest + "a\"") != "no error");
    CHECK(error_of("metrics.listen = \"/run/\\u0001\"") != "no error");
    CHECK(error_of("metrics.listen = \"127.0.0.1:65535\"") == "no error");
    CHECK(error_of("metrics.listen = 9464") != "no error");
}

TEST_CASE("the ends of a range are inside it") {
    CHECK(error_of("conntrack.receive_buffer = \"64KiB\"") == "no error");
    CHECK(error_of("conntrack.receive_buffer = \"2GiB\"") == "no error");
    CHECK(error_of("output.active_interval = \"10s\"") == "no error");
    CHECK(error_of("state.interval = \"365d\"") == "no error");
    CHECK(error_of("table.capacity = 67_108_864") == "no error");
}

TEST_CASE("a path must be absolute and plain") {
    CHECK(error_of("[output]\npath = \"flow.ndjson\"") ==
          "f:2:1: output.path: \"flow.ndjson\" is a relative path; allowed is an absolute path");
    CHECK(error_of("[output]\ndestination = \"file\"\npath = \"\"") ==
          "f:3:1: output.path: \"\" is empty; allowed is an absolute path");
    CHECK(error_of("[state]\npath = \"table\"") ==
          "f:2:1: state.path: \"table\" is a relative path; allowed is an absolute path, or \"\"");
    CHECK(error_of("[state]\npath = \"/a\\u0000b\"") ==
          "f:2:1: state.path: \"/a\\u0000b\" is not a path, it holds control characters; allowed is an "
          "absolute path, "
          "or \"\"");
    CHECK(error_of("[conntrack]\nnetns = \"../x\"") ==
          "f:2:1: conntrack.netns: \"../x\" is neither; allowed is a name of ip-netns(8) or an absolute "
          "path, or \"\"");
    CHECK(error_of("[conntrack]\nnetns = \"..\"") ==
          "f:2:1: conntrack.netns: \"..\" is neither; allowed is a name of ip-netns(8) or an absolute path, "
          "or \"\"");
}

TEST_CASE("a static field is a string with a name, and all of them fit into a line") {
    CHECK(error_of("[output.fields]\nlabels.rack = 5") ==
          "f:2:8: output.fields.labels.rack: is an integer; allowed is a string");
    CHECK(error_of("[output]\nfields = \"site\"") ==
          "f:2:1: output.fields: is a string; allowed is a table of strings");
    CHECK(error_of("[output.fields]\n\"a..b\" = \"x\"") ==
          "f:2:1: output.fields.\"a..b\": has an empty word in its name; allowed are words joined by dots");
    CHECK(error_of("[output.fields]\n\"\" = \"x\"") ==
          "f:2:1: output.fields.\"\": has an empty word in its name; allowed are words joined by dots");
    CHECK(error_of("[output.fields]\na = \"x\\ty\"") ==
          "f:2:1: output.fields.a: holds control characters; allowed is plain text");
    const std::size_t limit = LineEncoder::static_bytes_limit;
    CHECK(error_of("[output.fields]\na = \"x\"\nb = \"" + std::string(limit - 2, 'y') + "\"") ==
          "f:3:1: output.fields.b: is more than a line has room for; allowed are " + std::to_string(limit) +
              " bytes for all fields together");
    CHECK(error_of("[output.fields]\na = \"x\"\nb = \"" + std::string(limit - 3, 'y') + "\"") == "no error");
    CHECK(error_of("output.fields.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o = \"x\"") ==
          "f:1:41: output.fields.a.b.c.d.e.f.g.h.i.j.k.l.m.n: is a table; allowed is a string");
}

TEST_CASE("a field that is there twice is refused, however its name is written") {
    CHECK(error_of("[output.fields]\nlabels.site = \"x\"\n\"labels.site\" = \"y\"") ==
          "f:3:1: output.fields.\"labels.site\": is there twice; allowed is once");
}

TEST_CASE("groups of NFLOG are numbers of 16 bits, each once") {
    const auto why = [](const std::string& groups) {
        const std::string error = error_of("packets.groups = " + groups);
        const std::string place = "f:1:9: packets.groups: ";
        const std::string allowed =
            "; allowed is an array of integers from 0 to 65535, each once, 16 at most";
        REQUIRE(error.starts_with(place));
        REQUIRE(error.ends_with(allowed));
        return error.substr(place.size(), error.size() - place.size() - allowed.size());
    };
    CHECK(why("5") == "is an integer");
    CHECK(why("[\"5\"]") == "is an array");
    CHECK(why("[5, 65536]") == "holds 65536");
    CHECK(why("[-1]") == "holds -1");
    CHECK(why("[5, 6, 5]") == "holds 5 twice");
    CHECK(why("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]") == "holds 17 groups");
}

TEST_CASE("what is not TOML is answered with the place") {
    CHECK(error_of("[output]\nqueue = 64MiB") ==
          "f:2:11: not valid TOML: Error while parsing decimal integer: expected digit, saw 'M'");
    CHECK(error_of("[output]\nqueue = 1\nqueue = 2") ==
          "f:3:9: not valid TOML: Error while parsing key-value pair: cannot redefine existing integer "
          "'queue'");
    CHECK(error_of("[output]\n[log]\n[output]\n").starts_with("f:3:1: not valid TOML: "));
    CHECK(error_of("x = n\ny") ==
          "f:1:6: not valid TOML: Error while parsing floating-point: expected 'nan', saw 'n\\u000a'");
    CHECK(error_of("[output\n").starts_with("f:1:8: not valid TOML: "));
    CHECK(error_of("x = \"\xff\"").starts_with("f:1:5: not valid TOML: "));
    CHECK(error_of(std::string("x = \1")).starts_with("f:1:5: not valid TOML: "));
}

TEST_CASE("letters beyond ASCII are refused outside of strings, whichever they are") {
    for (const std::string_view letter : {"\u00e9", "\u0490", "\u1abc", "\u2100", "\ufe70", "\U0001f600"}) {
        CAPTURE(letter);
        CHECK(error_of("na" + std::string(letter) + "me = 1").starts_with("f:1:3: not valid TOML: "));
        CHECK(error_of("[log]\nlevel" + std::string(letter) + "= 1").starts_with("f:2:6: not valid TOML: "));
        CHECK(error_of("x = 1" + std::string(letter)).starts_with("f:1:6: not valid TOML: "));
        CHECK(error_of("# " + std::string(letter)) == "no error");
    }
}

TEST_CASE("a time of day that is none is refused like other text that is not TOML") {
    CHECK(error_of("x = 1979-05-27TMM:32:00").starts_with("f:1:16: not valid TOML: "));
}

TEST_CASE("no text makes the parser recurse without end") {
    std::string dots;
    for (int i = 0; i < 400'000; ++i) {
        dots += "a.";
    }
    CHECK(error_of("[log]\n" + dots + "a = 1") == "f:2:1: the line is too long; at most 8192 bytes");
    CHECK(error_of("a = " + std::string(8000, '[')).starts_with("f:1:"));
    std::string tables;
    const std::string line = dots.substr(0, 8000) + "a = [\n{";
    for (int i = 0; i < 100; ++i) {
        tables += line;
    }
    CHECK(error_of(tables).find("not valid TOML") != std::string::npos);
}

TEST_CASE("an override is answered like a line of the file, with --set as its place") {
    CHECK(override_error_of("output.update=all") ==
          "--set output.update: unknown key; did you mean output.updates?");
    CHECK(override_error_of("output.updates=some") ==
          "--set output.updates: \"some\" is none of them; allowed is one of \"none\", \"significant\", "
          "\"all\"");
    CHECK(override_error_of("output.rotate_keep=20000") ==
          "--set output.rotate_keep: 20000 is too large; allowed is an integer from 1 to 10000");
    CHECK(override_error_of("output.rotate_keep=ten") ==
          "--set output.rotate_keep: is a string; allowed is an integer from 1 to 10000");
    CHECK(override_error_of("output.queue=64MB") ==
          "--set output.queue: \"64MB\" is not a size; allowed is a size from \"1MiB\" to \"4GiB\"");
    CHECK(override_error_of("output.updates=") ==
          "--set output.updates: \"\" is none of them; allowed is one of \"none\", \"significant\", \"all\"");
    CHECK(override_error_of("output.path=/a\nb") ==
          "--set output.path: \"/a\\u000ab\" is not a path, it holds control characters; allowed is an "
          "absolute path");
}

TEST_CASE("an override without a key or a value is refused") {
    CHECK(override_error_of("output.updates") == "--set \"output.updates\": no value; allowed is KEY=VALUE");
    CHECK(override_error_of("=all") == "--set \"\": not a key; allowed is KEY=VALUE");
    CHECK(override_error_of("output updates=all") ==
          "--set \"output updates\": not a key; allowed is KEY=VALUE");
    CHECK(override_error_of("[log]\nlevel=debug") ==
          "--set \"[log]\\u000alevel\": not a key; allowed is KEY=VALUE");
}

TEST_CASE("a NUL byte is told with its line") {
    CHECK(error_of(std::string_view("[table]\n[\0x]\n", 13)) == "f:2:1: a NUL byte; a configuration is text");
}
