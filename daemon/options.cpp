// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

#include "toml_document.hpp"

namespace flowkin {
namespace {

constexpr std::string_view description =
    "Follows the kernel's connection tracking and writes each event as a line of JSON.";
constexpr std::string_view footer =
    "Exit status: 0 good, 1 other failure, 64 usage, 74 input or output, 77 permission,\n"
    "78 configuration. See flowkin(8) and flowkin.toml(5).";
constexpr std::string_view version_line = "flowkin " FLOWKIN_VERSION " (event format 1)";

std::optional<RunId> parse_run(std::string_view text) {
    RunId run = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), run, 16);
    return error == std::errc{} && rest == text.data() + text.size() ? std::optional(run) : std::nullopt;
}

/// An option that asks for something else than the daemon.
struct Asking {
    std::string_view option;
    Mode mode;
};

constexpr Asking askings[] = {
    {"--replay", Mode::replay},
    {"--verify", Mode::verify},
    {"--story", Mode::story},
    {"--check-config", Mode::check_config},
    {"--print-config", Mode::print_config},
};

/// An option that has a meaning in some modes only.
struct Companion {
    std::string_view option;
    std::vector<Mode> modes;
};

const std::vector<Companion>& companions() {
    static const std::vector<Companion> list = {
        {"--capture", {Mode::monitor}},
        {"--netns", {Mode::monitor, Mode::check_config, Mode::print_config}},
        {"--run-id", {Mode::replay}},
        {"--at", {Mode::story}},
        {"--json", {Mode::story}},
        {"--config", {Mode::monitor, Mode::replay, Mode::check_config, Mode::print_config}},
        {"--set", {Mode::monitor, Mode::replay, Mode::check_config, Mode::print_config}},
    };
    return list;
}

tl::unexpected<Error> refuse(std::string_view why) {
    return fail(Fault::usage, std::string(why.substr(0, why.find('\n'))) + "; see flowkin --help");
}

/// The mode that the options ask for, where they go together.
Result<Mode> find_mode(const CLI::App& app) {
    const auto given = [&app](std::string_view option) { return app.count(std::string(option)) != 0; };
    std::string_view asked;
    Mode mode = Mode::monitor;
    for (const Asking& asking : askings) {
        if (!given(asking.option)) {
            continue;
        }
        if (!asked.empty()) {
            return refuse(std::string(asked) + " and " + std::string(asking.option) + " exclude each other");
        }
        asked = asking.option;
        mode = asking.mode;
    }
    for (const Companion& companion : companions()) {
        const auto& modes = companion.modes;
        if (!given(companion.option) || std::find(modes.begin(), modes.end(), mode) != modes.end()) {
            continue;
        }
        return refuse(
            std::string(companion.option) + " has no meaning " +
            (asked.empty() ? "without " + std::string(askings[0].option) : "with " + std::string(asked)));
    }
    return mode;
}

}  // namespace

Result<Options> parse_options(int argc, const char* const* argv) {
    Options options;
    std::string config;
    std::string netns;
    std::string capture;
    std::string replay;
    std::string run;

    CLI::App app{std::string(description), "flowkin"};
    app.footer(std::string(footer));
    app.set_version_flag("--version", std::string(version_line));
    app.add_option("--config", config, "configuration file")->type_name("FILE");
    app.add_option("--netns", netns, "network namespace to watch: a name of ip-netns(8), or a path")
        ->type_name("NAME");
    app.add_option("--set", options.overrides, "override a key of the configuration, as output.updates=all")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    app.add_option("--capture", capture, "also write what the kernel says to a pcap file")->type_name("FILE");
    app.add_option("--replay", replay, "make the lines of a capture instead, on standard output")
        ->type_name("FILE");
    app.add_option("--run-id", run, "with --replay: the run of the lines, up to 16 hexadecimal digits")
        ->type_name("HEX");
    app.add_option("--verify", options.verify_files,
                   "check logs against the conservation law instead; - is standard input")
        ->type_name("FILE");
    std::vector<std::string> story;
    app.add_option(
           "--story", story,
           "tell what logs know of a flow and its family instead: WHAT is a uid, a CTA_ID, a Community "
           "ID, or an address with or without a port and a peer")
        ->type_name("WHAT FILE");
    app.add_option("--at", options.story_at, "with --story: the time asked for, as 09:16 or RFC 3339")
        ->type_name("TIME");
    app.add_flag("--json", options.story_json, "with --story: for tools");
    app.add_flag("--check-config")->description("say whether the configuration is good, and exit");
    app.add_flag("--print-config")->description("print the effective configuration, and exit");

    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        options.mode = Mode::show_text;
        options.text = app.help();
        return options;
    } catch (const CLI::CallForVersion& version) {
        options.mode = Mode::show_text;
        options.text = std::string(version.what()) + '\n';
        return options;
    } catch (const CLI::ParseError& error) {
        return refuse(error.what());
    }

    for (const std::string option : {"--config", "--capture", "--replay"}) {
        if (app.count(option) != 0 && app.get_option(option)->as<std::string>().empty()) {
            return refuse(option + " takes the name of a file");
        }
    }
    const auto mode = find_mode(app);
    if (!mode) {
        return tl::unexpected(mode.error());
    }
    options.mode = *mode;
    if (app.count("--config") != 0) {
        options.config_file = config;
    }
    if (app.count("--netns") != 0) {
        options.overrides.push_back("conntrack.netns=" + toml_string(netns));
    }
    if (app.count("--capture") != 0) {
        options.capture_file = capture;
    }
    options.replay_file = replay;
    if (app.count("--story") != 0) {
        if (story.size() < 2) {
            return refuse("--story takes what is asked for and at least one file");
        }
        options.story_what = story.front();
        options.story_files.assign(story.begin() + 1, story.end());
    }
    if (app.count("--run-id") != 0) {
        const auto parsed = parse_run(run);
        if (!parsed) {
            return refuse("--run-id takes 1 to 16 hexadecimal digits");
        }
        options.replay_run = *parsed;
    }
    return options;
}

}  // namespace flowkin
