// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "temporary_folder.hpp"

using namespace flowkin;
using namespace std::chrono_literals;

namespace {

Config parsed(std::string_view text, const std::vector<std::string>& overrides = {}) {
    const auto config = parse_config(text, "f", overrides);
    if (!config) {
        FAIL(config.error().text);
    }
    return *config;
}

/// Every value another than the default.
constexpr std::string_view all_changed = R"(
[conntrack]
receive_buffer = "8MiB"
netns = "blue"
reconcile_interval = "90s"
stall_after = "2m"
no_enobufs = false
reliable_destroy = true
reliable_destroy_limit = 50
[packets]
groups = [7, 5]
[table]
capacity = 1_000_000
[output]
destination = "file"
path = "/srv/flow.ndjson"
updates = "all"
active_interval = "1h"
stats_interval = "1m"
rotate_size = "off"
rotate_keep = 3
queue = 2000000
journal_rate = "off"
[output.fields]
labels.site = "Zürich \"west\""
labels."rack" = "c:\\7"
"observer.name" = "fw1"
[state]
path = "/var/lib/flowkin/table"
interval = "1500ms"
[metrics]
listen = "[::1]:9464"
[control]
socket = "/run/fw/control"
[log]
level = "trace"
)";

std::string text_of(const std::string& file_of_the_project) {
    std::ostringstream text;
    text << std::ifstream(FLOWKIN_SOURCE_DIR "/" + file_of_the_project).rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("an empty file is the defaults") {
    CHECK(parsed("") == Config{});
}

TEST_CASE("every key reaches its member") {
    const Config config = parsed(all_changed);
    CHECK(config.conntrack.receive_buffer_bytes == 8U << 20U);
    CHECK(config.conntrack.netns == "blue");
    CHECK(config.conntrack.reconcile_interval == nanoseconds(90s));
    CHECK(config.conntrack.stall_after == nanoseconds(2min));
    CHECK_FALSE(config.conntrack.no_enobufs);
    CHECK(config.conntrack.reliable_destroy);
    CHECK(config.conntrack.reliable_destroy_limit_percent == 50);
    CHECK(config.table.capacity == 1'000'000);
    CHECK(config.output.destination == Config::Destination::file);
    CHECK(config.output.path == "/srv/flow.ndjson");
    CHECK(config.output.updates == Updates::all);
    CHECK(config.output.active_interval == nanoseconds(1h));
    CHECK(config.output.stats_interval == nanoseconds(1min));
    CHECK_FALSE(config.output.rotate_bytes);
    CHECK(config.output.rotate_keep == 3);
    CHECK(config.output.queue_bytes == 2'000'000);
    CHECK_FALSE(config.output.journal_rate);
    CHECK(config.output.fields == StaticFields{{"labels.site", "Zürich \"west\""},
                                               {"labels.rack", "c:\\7"},
                                               {"observer.name", "fw1"}});
    CHECK(config.state.path == "/var/lib/flowkin/table");
    CHECK(config.state.interval == 1500ms);
    CHECK(config.metrics.listen == ListenAddress(LoopbackPort{.ipv6 = true, .port = 9464}));
    CHECK(config.control.socket == "/run/fw/control");
    CHECK(config.log.level == Config::LogLevel::trace);
}

TEST_CASE("off is off, and only where a key may be off") {
    const Config config = parsed(
        "conntrack.reconcile_interval = \"off\"\noutput.active_interval = \"off\"\ncontrol.socket = \"off\"");
    CHECK_FALSE(config.conntrack.reconcile_interval);
    CHECK_FALSE(config.output.active_interval);
    CHECK_FALSE(config.control.socket);
}

TEST_CASE("fields may be an inline table") {
    CHECK(parsed(R"([output]
fields = { "labels.site" = "fra1", labels.rack = "7" })")
              .output.fields == StaticFields{{"labels.site", "fra1"}, {"labels.rack", "7"}});
}

TEST_CASE("overrides win over the file, the last over the first, quotes or none") {
    const Config config = parsed(
        "[output]\nupdates = \"none\"\nqueue = \"2MiB\"",
        {"output.updates=significant", "output.updates=\"all\"", "output.queue=3MiB", "output.rotate_keep=7",
         "output.active_interval=off", "log.level = debug", "conntrack.netns=5", "output.path=/a=b"});
    CHECK(config.output.updates == Updates::all);
    CHECK(config.output.queue_bytes == 3U << 20U);
    CHECK(config.output.rotate_keep == 7);
    CHECK_FALSE(config.output.active_interval);
    CHECK(config.log.level == Config::LogLevel::debug);
    CHECK(config.conntrack.netns == "5");
    CHECK(config.output.path == "/a=b");
}

TEST_CASE("an override adds its fields to those of the file") {
    const Config config =
        parsed("[output.fields]\na = \"1\"\nb = \"1\"",
               {"output.fields.b=2", "output.fields.labels.site=fra1", "output.fields={ c = \"3\" }"});
    CHECK(config.output.fields == StaticFields{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"labels.site", "fra1"}});
}

TEST_CASE("an override may set a whole section") {
    CHECK(parsed("", {"log={level=\"error\"}"}).log.level == Config::LogLevel::error);
}

TEST_CASE("what is printed loads to an equal configuration") {
    for (const std::string_view text : {std::string_view{}, all_changed}) {
        const Config config = parsed(text);
        const std::string printed = print_config(config);
        CAPTURE(printed);
        CHECK(parsed(printed) == config);
    }
}

TEST_CASE("fields that stand in each other's way are printed so that they load again") {
    const Config config = parsed("[output.fields]\na = \"1\"\n\"a.b\" = \"2\"");
    CHECK(parsed(print_config(config)) == config);
}

TEST_CASE("as many fields as there may be are printed so that they load again") {
    std::string text = "[output.fields]\n";
    for (std::size_t field = 0; field < LineEncoder::static_bytes_limit / 3; ++field) {
        text += std::string{static_cast<char>('a' + field / 26), static_cast<char>('a' + field % 26)} +
                " = '\"'\n";
    }
    const Config config = parsed(text);
    CHECK(config.output.fields.size() == LineEncoder::static_bytes_limit / 3);
    CHECK(parsed(print_config(config)) == config);
}

TEST_CASE("the shipped file is the defaults and has every key, explained") {
    CHECK(parsed(text_of("config/flowkin.toml")) == Config{});

    std::istringstream lines(text_of("config/flowkin.toml"));
    std::string section;
    std::string before;
    std::vector<std::string> keys;
    for (std::string line; std::getline(lines, line); before = line) {
        if (line.starts_with('[')) {
            section = line.substr(1, line.find(']') - 1);
        } else if (!line.empty() && !line.starts_with('#')) {
            keys.push_back(section + '.' + line.substr(0, line.find(' ')));
            CAPTURE(line);
            CHECK(before.starts_with("# "));
        }
    }
    CHECK(keys == known_config_keys());
}

TEST_CASE("the shipped file and the manual page tell the room that fields have") {
    const std::string room = "t most " + std::to_string(LineEncoder::static_bytes_limit) + " bytes together";
    CHECK(text_of("config/flowkin.toml").find(room) != std::string::npos);
    CHECK(text_of("man/flowkin.toml.5").find(room) != std::string::npos);
}

TEST_CASE("the manual page has every key") {
    const std::string page = text_of("man/flowkin.toml.5");
    for (const std::string& key : known_config_keys()) {
        CAPTURE(key);
        CHECK(page.find("\n.It Cm " + key.substr(key.find('.') + 1) + '\n') != std::string::npos);
    }
}

TEST_CASE("a configuration does not differ from itself") {
    const ConfigChange change = compare(parsed(all_changed), parsed(all_changed));
    CHECK(change.changed.empty());
    CHECK(change.needs_restart.empty());
}

TEST_CASE("changed keys are told apart by what it takes to change them") {
    const ConfigChange change = compare(Config{}, parsed(all_changed));
    CHECK(change.changed ==
          std::vector<std::string>{
              "conntrack.reconcile_interval", "conntrack.stall_after", "conntrack.reliable_destroy_limit",
              "output.updates", "output.active_interval", "output.stats_interval", "output.rotate_size",
              "output.rotate_keep", "output.journal_rate", "output.fields", "state.interval", "log.level"});
    CHECK(change.needs_restart ==
          std::vector<std::string>{"conntrack.receive_buffer", "conntrack.netns", "conntrack.no_enobufs",
                                   "conntrack.reliable_destroy", "packets.groups", "table.capacity",
                                   "output.destination", "output.path", "output.queue", "state.path",
                                   "metrics.listen", "control.socket"});
}

TEST_CASE("what is adopted is what applies while running, and nothing else") {
    const Config wanted = parsed(all_changed);
    const Config adopted = adopt(Config{}, wanted);
    CHECK(compare(adopted, wanted).changed.empty());
    CHECK(compare(adopted, wanted).needs_restart == compare(Config{}, wanted).needs_restart);
    CHECK(compare(Config{}, adopted).needs_restart.empty());
    CHECK(adopted.output.updates == Updates::all);
    CHECK(adopted.output.path == Config{}.output.path);
}
