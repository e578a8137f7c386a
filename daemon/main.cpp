// SPDX-License-Identifier: GPL-2.0-or-later
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <span>

#include "config.hpp"
#include "diagnostics.hpp"
#include "ledger/story_files.hpp"
#include "ledger/verify_files.hpp"
#include "listening_socket.hpp"
#include "monitor.hpp"
#include "network_namespace.hpp"
#include "options.hpp"
#include "replay.hpp"

namespace flowkin {
namespace {

int tell(const Error& error) {
    spdlog::error("{}", error.text);
    return static_cast<int>(error.fault);
}

Result<void> monitor(const Options& options, const Config& config) {
    std::optional<ListeningSocket> metrics;
    if (config.metrics.listen) {  // before another namespace is entered: whoever scrapes is here
        auto opened = ListeningSocket::open(*config.metrics.listen);
        if (!opened) {
            return tl::unexpected(opened.error());
        }
        metrics.emplace(std::move(*opened));
    }
    if (!config.conntrack.netns.empty()) {
        if (auto entered = enter_network_namespace(config.conntrack.netns); !entered) {
            return entered;
        }
    }
    auto created = Monitor::create(options, config, std::move(metrics));
    if (!created) {
        return tl::unexpected(created.error());
    }
    separate_diagnostics();
    return (*created)->run();
}

Result<void> story(const Options& options) {
    const auto question = parse_story_question(options.story_what, options.story_at);
    if (!question) {
        return tl::unexpected(question.error());
    }
    const char* const no_colour = std::getenv("NO_COLOR");  // https://no-color.org
    const bool coloured = ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
    return tell_story(*question, options.story_files,
                      options.story_json ? StoryForm::json
                      : coloured         ? StoryForm::coloured
                                         : StoryForm::plain,
                      std::cout);
}

int run(int argc, const char* const* argv) {
    set_up_diagnostics(Config::LogLevel::info);
    const auto options = parse_options(argc, argv);
    if (!options) {
        return tell(options.error());
    }
    if (options->mode == Mode::show_text) {
        std::cout << options->text;
        return EXIT_SUCCESS;
    }
    if (options->mode == Mode::verify) {
        const auto status = verify_files(options->verify_files, std::cout, STDERR_FILENO);
        return status ? *status : tell(status.error());
    }
    if (options->mode == Mode::story) {
        const auto told = story(*options);
        return told ? EXIT_SUCCESS : tell(told.error());
    }
    const auto config = load_config(options->config_file, options->overrides);
    if (!config) {
        return tell(config.error());
    }
    set_diagnostics_level(config->log.level);
    set_diagnostics_beside(config->output.destination);
    Result<void> done;
    switch (options->mode) {
        case Mode::monitor:
            done = monitor(*options, *config);
            break;
        case Mode::replay:
            done = replay(*options, *config);
            break;
        case Mode::print_config:
            std::cout << print_config(*config);
            break;
        default:  // check_config: it was good, unless its static fields collide with ours
            if (const auto encoder = LineEncoder::create(
                    {.run = 0, .host_name = {}, .fields = config->output.fields, .label_names = {}});
                !encoder) {
                done = tl::unexpected(encoder.error());
            }
            break;
    }
    return done ? EXIT_SUCCESS : tell(done.error());
}

}  // namespace
}  // namespace flowkin

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write that meets it
    try {
        return flowkin::run(argc, argv);
    } catch (const std::exception& failure) {
        spdlog::critical("{}", failure.what());
        return EXIT_FAILURE;
    }
}
