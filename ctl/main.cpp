// SPDX-License-Identifier: GPL-2.0-or-later
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "command_line.hpp"
#include "control_connection.hpp"
#include "family_tree.hpp"
#include "flow_text.hpp"
#include "status_screen.hpp"

namespace flowkin {
namespace {

using nlohmann::json;

/// A reconcile of a million flows takes seconds; whatever is silent for longer does not answer.
constexpr std::chrono::seconds patience{60};

std::string text(const json& object, const char* name) {
    const auto member = object.is_object() ? object.find(name) : object.end();
    return object.is_object() && member != object.end() && member->is_string() ? member->get<std::string>()
                                                                               : std::string();
}

/// Why flowkin did not do it, and the exit status that tells it.
Error fault_of(const std::string& result, const json& answer, const CommandLine& asked) {
    const std::string reason = text(answer, "reason");
    if (result == "refused") {
        return {Fault::permission, reason};
    }
    if (result == "invalid") {
        return {Fault::usage, reason};
    }
    if (result == "busy") {
        return {Fault::input_output, reason};
    }
    const bool reload = asked.request.find("\"reload\"") != std::string::npos;
    return {reload ? Fault::configuration : Fault::other, reason};
}

void list(const json& keys, const char* what) {
    if (keys.is_array()) {
        for (const json& key : keys) {
            std::cout << key.get<std::string>() << what << '\n';
        }
    }
}

/// What was changed, said in a line or more.
void tell_change(const json& answer, const CommandLine& asked) {
    if (const auto resync = answer.find("resync"); resync != answer.end()) {
        std::cout << "reconciled: " << (*resync)["dumped"] << " flows in the kernel's table, "
                  << (*resync)["discovered"] << " discovered, " << (*resync)["ended"] << " ended\n";
    } else if (answer.contains("changed")) {
        std::cout << "reloaded: " << answer["changed"].size() << " keys changed\n";
        list(answer["changed"], "");
        list(answer["needs_restart"], " needs a restart");
    } else {
        std::cout << asked.done << '\n';
    }
}

/// Reads one answer and shows it; true where there was something to show.
Result<bool> show_answer(ControlConnection& connection, const CommandLine& asked) {
    FamilyTree family;
    std::uint64_t flows = 0;
    while (true) {
        auto line = connection.receive(patience);
        if (!line) {
            return tl::unexpected(line.error());
        }
        const json answer = json::parse(*line, nullptr, false);
        const std::string result = text(answer, "result");
        if (!result.empty() && result != "done") {
            return tl::unexpected(fault_of(result, answer, asked));
        }
        if (result.empty()) {
            if (asked.json) {
                std::cout << *line << '\n';
            } else if (asked.show == CommandLine::Show::family) {
                family.add(answer);
            } else {
                std::cout << (flows == 0 ? flow_table_head() + '\n' : "") << flow_row(answer) << '\n';
            }
            ++flows;
            continue;
        }
        switch (asked.show) {
            case CommandLine::Show::status:
                std::cout << (asked.json ? answer["status"].dump() + '\n' : status_screen(answer["status"]));
                return true;
            case CommandLine::Show::family:
                if (flows != 0 && !asked.json) {
                    std::cout << family.text(text(answer, "root"));
                }
                return flows != 0;
            case CommandLine::Show::flows:
                return flows != 0;
            default:
                if (asked.json) {
                    std::cout << *line << '\n';
                } else {
                    tell_change(answer, asked);
                }
                return true;
        }
    }
}

Result<int> run(const CommandLine& asked) {
    auto connection = ControlConnection::open(asked.socket);
    if (!connection) {
        return tl::unexpected(connection.error());
    }
    if (auto sent = connection->send(asked.request); !sent) {
        return tl::unexpected(sent.error());
    }
    const auto shown = show_answer(*connection, asked);
    if (!shown) {
        return tl::unexpected(shown.error());
    }
    if (!std::cout.flush()) {
        return fail(Fault::input_output, "standard output cannot be written");
    }
    if (!*shown && asked.show == CommandLine::Show::family) {
        return fail(Fault::other, "no flow of that family lives");
    }
    return *shown || asked.request.find("\"flows\"") != std::string::npos ? EXIT_SUCCESS : EXIT_FAILURE;
}

int tell(const Error& error) {
    std::cerr << "flowkinctl: " << error.text << '\n';
    return static_cast<int>(error.fault);
}

}  // namespace
}  // namespace flowkin

int main(int argc, char** argv) {
    try {
        const auto asked = flowkin::parse_command_line(argc, argv);
        if (!asked) {
            return flowkin::tell(asked.error());
        }
        if (asked->show == flowkin::CommandLine::Show::text) {
            std::cout << asked->text;
            return EXIT_SUCCESS;
        }
        const auto status = flowkin::run(*asked);
        return status ? *status : flowkin::tell(status.error());
    } catch (const std::exception& failure) {
        std::cerr << "flowkinctl: " << failure.what() << '\n';
        return EXIT_FAILURE;
    }
}
