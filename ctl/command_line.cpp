// SPDX-License-Identifier: GPL-2.0-or-later
#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

namespace flowkin {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view description = "Asks a running flowkin, and has it do things.";
constexpr std::string_view footer =
    "Exit status: 0 good, 1 nothing found or other failure, 64 usage, 74 input or output,\n"
    "77 permission, 78 configuration. See flowkinctl(1).";
constexpr std::string_view version_line = "flowkinctl " FLOWKIN_VERSION;

tl::unexpected<Error> refuse(std::string_view why) {
    return fail(Fault::usage, std::string(why.substr(0, why.find('\n'))) + "; see flowkinctl --help");
}

/// Decimal, or hexadecimal behind 0x.
std::optional<std::uint64_t> read_number(std::string_view text, std::uint64_t most) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    const std::string_view digits = hex ? text.substr(2) : text;
    std::uint64_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
    return error == std::errc{} && end == digits.data() + digits.size() && value <= most
               ? std::optional(value)
               : std::nullopt;
}

/// What is typed after the options of `flows`; empty where it is not given.
struct FilterTexts {
    std::string address;
    std::string port;
    std::string protocol;
    std::string mark;
    std::string zone;
    std::string parent;
};

constexpr std::uint64_t most16 = std::numeric_limits<std::uint16_t>::max();
constexpr std::uint64_t most32 = std::numeric_limits<std::uint32_t>::max();

/// `--mark 0x10/0xff`: the value, and which of its bits count.
bool set_mark(Json& filter, std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto mark = read_number(text.substr(0, slash), most32);
    const auto mask = slash == std::string_view::npos ? most32 : read_number(text.substr(slash + 1), most32);
    if (mark && mask) {
        filter["mark"] = *mark;
        filter["mark_mask"] = *mask;
    }
    return mark && mask;
}

Result<Json> make_filter(const FilterTexts& texts) {
    Json filter = Json::object();
    for (const auto& [name, text] : {std::pair("port", &texts.port), std::pair("zone", &texts.zone)}) {
        const auto number = read_number(*text, most16);
        if (!text->empty() && !number) {
            return refuse(std::string("--") + name + " takes a number from 0 to 65535");
        }
        if (number) {
            filter[name] = *number;
        }
    }
    if (!texts.mark.empty() && !set_mark(filter, texts.mark)) {
        return refuse("--mark takes a number of 32 bits, or two as VALUE/MASK");
    }
    for (const auto& [name, text] :
         {std::pair("address", &texts.address), std::pair("protocol", &texts.protocol),
          std::pair("parent", &texts.parent)}) {
        if (!text->empty()) {
            filter[name] = *text;
        }
    }
    if (const auto number = read_number(texts.protocol, 255)) {
        filter["protocol"] = *number;
    }
    return filter;
}

/// The subcommands, and what is typed after them.
struct Syntax {
    CLI::App app{std::string(description), "flowkinctl"};
    std::string socket{default_control_socket};
    bool json = false;
    FilterTexts filter;
    std::string uid;
    std::string id;

    Syntax() {
        app.footer(std::string(footer));
        app.set_version_flag("--version", std::string(version_line));
        app.add_option("--socket", socket, "the control socket of the flowkin that is meant")
            ->type_name("PATH");
        app.add_flag("--json", json, "print what flowkin answers, as lines of JSON");
        app.fallthrough();
        app.require_subcommand(1);
        app.add_subcommand("status", "how it goes: rates, losses, buffers, the kernel's settings, warnings");
        CLI::App& flows = *app.add_subcommand("flows", "the flows that live now, those that fit all options");
        flows.add_option("--address", filter.address, "either end has it, also as NAT translates it");
        flows.add_option("--port", filter.port, "likewise");
        flows.add_option("--protocol", filter.protocol, "a name, as tcp, or a number");
        flows.add_option("--mark", filter.mark, "VALUE or VALUE/MASK, decimal or hexadecimal");
        flows.add_option("--zone", filter.zone, "conntrack zone");
        flows.add_option("--parent", filter.parent, "uid of the flow that it is a child of");
        app.add_subcommand("family", "a flow's family as a tree: its root, and all that descend from that")
            ->add_option("UID", uid, "uid of a member")
            ->required();
        app.add_subcommand("id", "all flows that have an id of the kernel's, as `ct id` and NFQUEUE tell it")
            ->add_option("CTA_ID", id, "decimal or hexadecimal")
            ->required();
        app.add_subcommand("reconcile", "compare the table with the kernel's now");
        app.add_subcommand("rotate", "rename the log file and begin another");
        app.add_subcommand("reload", "read the configuration again, and say whether it was good");
    }
};

/// The subcommand as a request.
Result<void> make_request(const Syntax& syntax, CommandLine& line) {
    const std::string command = syntax.app.get_subcommands().front()->get_name();
    Json request = {{"command", command}};
    if (command == "status") {
        line.show = CommandLine::Show::status;
    } else if (command == "flows") {
        line.show = CommandLine::Show::flows;
        auto filter = make_filter(syntax.filter);
        if (!filter) {
            return tl::unexpected(filter.error());
        }
        request["filter"] = std::move(*filter);
    } else if (command == "family") {
        line.show = CommandLine::Show::family;
        request["uid"] = syntax.uid;
    } else if (command == "id") {
        line.show = CommandLine::Show::flows;
        const auto id = read_number(syntax.id, most32);
        if (!id) {
            return refuse("id takes a number of 32 bits");
        }
        request["id"] = *id;
    } else {
        line.done = command == "rotate" ? "the log is rotated" : "";
    }
    // What is no UTF-8 on the command line is refused by flowkin, as any other name it does not know.
    line.request = request.dump(-1, ' ', true, Json::error_handler_t::replace) + '\n';
    return {};
}

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
    CommandLine line;
    Syntax syntax;
    try {
        syntax.app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        line.show = CommandLine::Show::text;
        // Of the subcommand that it was asked of.
        const auto chosen = syntax.app.get_subcommands();
        line.text = chosen.empty() ? syntax.app.help() : chosen.front()->help();
        return line;
    } catch (const CLI::CallForVersion& version) {
        line.show = CommandLine::Show::text;
        line.text = std::string(version.what()) + '\n';
        return line;
    } catch (const CLI::ParseError& error) {
        return refuse(error.what());
    }
    if (auto made = make_request(syntax, line); !made) {
        return tl::unexpected(made.error());
    }
    line.socket = syntax.socket;
    line.json = syntax.json;
    return line;
}

}  // namespace flowkin
