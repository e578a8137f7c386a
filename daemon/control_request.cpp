// SPDX-License-Identifier: GPL-2.0-or-later
#include "control_request.hpp"

#include <arpa/inet.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "json/uid_text.hpp"
#include "json/words.hpp"

namespace flowkin {
namespace {

using nlohmann::json;
using Command = ControlRequest::Command;

constexpr std::array<std::pair<std::string_view, Command>, 7> commands{{{"status", Command::status},
                                                                        {"flows", Command::flows},
                                                                        {"family", Command::family},
                                                                        {"id", Command::id},
                                                                        {"reconcile", Command::reconcile},
                                                                        {"rotate", Command::rotate},
                                                                        {"reload", Command::reload}}};

/// What is wrong with a member; empty: nothing.
using Wrong = std::optional<std::string>;

template <class Number>
Wrong take_number(const json& value, std::optional<Number>& number) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<Number>::max()) {
        return "takes an integer from 0 to " + std::to_string(std::numeric_limits<Number>::max());
    }
    number = static_cast<Number>(value.get<std::uint64_t>());
    return std::nullopt;
}

Wrong take_uid(const json& value, std::optional<FlowUid>& uid) {
    uid = value.is_string() ? read_uid(std::string_view(value.get_ref<const std::string&>())) : std::nullopt;
    return uid ? Wrong() : "takes a uid, 32 hexadecimal digits";
}

Wrong take_address(const json& value, std::optional<FlowFilter::Host>& host) {
    const std::string text = value.is_string() ? value.get<std::string>() : std::string();
    FlowFilter::Host read;
    read.family = text.find(':') == std::string::npos ? Family::ipv4 : Family::ipv6;
    // inet_pton() stops at a NUL, and so would take what follows one.
    if (text.find('\0') != std::string::npos || ::inet_pton(read.family == Family::ipv4 ? AF_INET : AF_INET6,
                                                            text.c_str(), read.address.bytes.data()) != 1) {
        return "takes an IPv4 or IPv6 address";
    }
    host = read;
    return std::nullopt;
}

Wrong take_protocol(const json& value, std::optional<Protocol>& protocol) {
    if (std::optional<std::uint8_t> number; !take_number(value, number)) {
        protocol = static_cast<Protocol>(*number);
        return std::nullopt;
    }
    const std::string text = value.is_string() ? value.get<std::string>() : std::string();
    for (unsigned number = 0; number < 256 && !text.empty(); ++number) {
        if (transport_word(static_cast<Protocol>(number)) == text) {
            protocol = static_cast<Protocol>(number);
            return std::nullopt;
        }
    }
    return "takes a protocol's name in lower case, as \"tcp\", or its number";
}

Wrong take_filter_member(const std::string& name, const json& value, FlowFilter& filter) {
    if (name == "address") {
        return take_address(value, filter.address);
    }
    if (name == "port") {
        return take_number(value, filter.port);
    }
    if (name == "protocol") {
        return take_protocol(value, filter.protocol);
    }
    if (name == "mark") {
        return take_number(value, filter.mark);
    }
    if (name == "mark_mask") {
        std::optional<Mark> mask;
        Wrong wrong = take_number(value, mask);
        filter.mark_mask = mask.value_or(filter.mark_mask);
        return wrong;
    }
    if (name == "zone") {
        return take_number(value, filter.zone);
    }
    if (name == "parent") {
        return take_uid(value, filter.parent);
    }
    return "is not known; known are address, port, protocol, mark, mark_mask, zone, parent";
}

/// A name of the client's, as it may stand in an answer.
std::string quoted(const std::string& name) {
    constexpr std::size_t longest = 64;
    return json(name.substr(0, longest)).dump(-1, ' ', true, json::error_handler_t::replace);
}

/// Refuses the first member that is wrong; `read` says what is wrong with one.
template <class Read>
Wrong read_members(const json& object, const std::string& place, const Read& read) {
    for (const auto& [name, value] : object.items()) {
        if (const Wrong wrong = read(name, value)) {
            return place + quoted(name) + ' ' + *wrong;
        }
    }
    return std::nullopt;
}

Wrong take_filter(const json& value, FlowFilter& filter) {
    if (!value.is_object()) {
        return "takes an object";
    }
    return read_members(value, "has a member wrong: ", [&](const std::string& name, const json& member) {
        return take_filter_member(name, member, filter);
    });
}

std::optional<Command> read_command(const json& request) {
    const auto command = request.find("command");
    for (const auto& [word, meaning] : commands) {
        if (command != request.end() && command->is_string() &&
            command->get_ref<const std::string&>() == word) {
            return meaning;
        }
    }
    return std::nullopt;
}

/// A member beside `command`.
Wrong take_argument(const std::string& name, const json& value, ControlRequest& request) {
    if (name == "filter" && request.command == Command::flows) {
        return take_filter(value, request.filter);
    }
    if (name == "uid" && request.command == Command::family) {
        return take_uid(value, request.filter.uid);
    }
    if (name == "id" && request.command == Command::id) {
        return take_number(value, request.filter.kernel_id);
    }
    return "has no meaning with this command";
}

}  // namespace

Result<ControlRequest> parse_control_request(std::string_view line) {
    const json read = json::parse(line, nullptr, false);
    if (!read.is_object()) {
        return fail(Fault::usage, "the request is no JSON object");
    }
    const auto command = read_command(read);
    if (!command) {
        return fail(Fault::usage,
                    "the request names no known command; known are status, flows, family, id, reconcile, "
                    "rotate, reload");
    }
    ControlRequest request{.command = *command, .filter = {}};
    if (const Wrong wrong =
            read_members(read, "the request's ", [&](const std::string& name, const json& value) {
                return name == "command" ? Wrong() : take_argument(name, value, request);
            })) {
        return fail(Fault::usage, *wrong);
    }
    if (request.command == Command::family && !request.filter.uid) {
        return fail(Fault::usage, "family takes the \"uid\" of a member");
    }
    if (request.command == Command::id && !request.filter.kernel_id) {
        return fail(Fault::usage, "id takes an \"id\" of the kernel's");
    }
    return request;
}

}  // namespace flowkin
