// SPDX-License-Identifier: GPL-2.0-or-later
#include "ignore_entry.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace flowkin {
namespace {

constexpr std::pair<std::string_view, std::uint8_t> protocols[] = {
    {"tcp", 6},   {"udp", 17}, {"icmp", 1},      {"ipv6-icmp", 58}, {"sctp", 132},
    {"dccp", 33}, {"gre", 47}, {"udplite", 136}, {"esp", 50},       {"igmp", 2}};

std::optional<Protocol> parse_protocol(std::string_view word) {
    for (const auto& [name, number] : protocols) {
        if (name == word) {
            return static_cast<Protocol>(number);
        }
    }
    return std::nullopt;
}

std::optional<unsigned> parse_number(std::string_view text, unsigned least, unsigned most) {
    unsigned number = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, fault] = std::from_chars(text.data(), end, number);
    const bool good = fault == std::errc() && stopped == end && number >= least && number <= most;
    return good ? std::optional(number) : std::nullopt;
}

std::optional<unsigned> parse_port(std::string_view text) {
    return parse_number(text, 1, std::numeric_limits<std::uint16_t>::max());
}

std::optional<Subnet> parse_subnet(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string address(text.substr(0, slash));
    Subnet subnet;
    if (::inet_pton(AF_INET, address.c_str(), subnet.address.bytes.data()) == 1) {
        subnet.prefix_bits = 32;
    } else if (::inet_pton(AF_INET6, address.c_str(), subnet.address.bytes.data()) == 1) {
        subnet.family = Family::ipv6;
        subnet.prefix_bits = 128;
    } else {
        return std::nullopt;
    }
    if (slash != std::string_view::npos) {
        const auto bits = parse_number(text.substr(slash + 1), 0, subnet.prefix_bits);
        if (!bits) {
            return std::nullopt;
        }
        subnet.prefix_bits = *bits;
    }
    return subnet;
}

IgnoreRule rule_of(const Subnet& subnet) {
    return {subnet, std::nullopt, std::nullopt};
}

}  // namespace

std::optional<std::vector<IgnoreRule>> parse_ignore_entry(std::string_view entry) {
    if (entry == "loopback") {
        return std::vector{rule_of(*parse_subnet("127.0.0.0/8")), rule_of(*parse_subnet("::1"))};
    }
    if (const auto subnet = parse_subnet(entry)) {
        return std::vector{rule_of(*subnet)};
    }
    IgnoreRule rule;
    if (const auto port = parse_port(entry)) {
        rule.port = static_cast<std::uint16_t>(*port);
        return std::vector{rule};
    }
    const std::size_t slash = entry.find('/');
    rule.protocol = parse_protocol(entry.substr(0, slash));
    if (!rule.protocol) {
        return std::nullopt;
    }
    if (slash != std::string_view::npos) {
        const auto port = parse_port(entry.substr(slash + 1));
        if (!port || !has_ports(*rule.protocol)) {
            return std::nullopt;
        }
        rule.port = static_cast<std::uint16_t>(*port);
    }
    return std::vector{rule};
}

std::vector<IgnoreRule> ignore_rules(const std::vector<std::string>& entries) {
    std::vector<IgnoreRule> rules;
    for (const std::string& entry : entries) {
        if (const auto parsed = parse_ignore_entry(entry)) {
            rules.insert(rules.end(), parsed->begin(), parsed->end());
        }
    }
    return rules;
}

Wrong IgnoreValue::read(const TomlValue& value, std::vector<std::string>& entries) const {
    const auto* const integers = std::get_if<TomlIntegers>(&value);
    const auto* const given = std::get_if<TomlStrings>(&value);
    if (given == nullptr && (integers == nullptr || !integers->empty())) {
        return integers != nullptr ? Wrong("holds integers") : wrong_type(value);
    }
    std::vector<std::string> taken = given != nullptr ? *given : TomlStrings{};
    for (const std::string& entry : taken) {
        if (!parse_ignore_entry(entry)) {
            return "holds " + toml_string(entry);
        }
        if (std::count(taken.begin(), taken.end(), entry) > 1) {
            return "holds " + toml_string(entry) + " twice";
        }
    }
    if (taken.size() > most) {
        return "holds " + std::to_string(taken.size()) + " entries";
    }
    entries = std::move(taken);
    return std::nullopt;
}

std::string IgnoreValue::write(const std::vector<std::string>& entries) const {
    std::string list;
    for (const std::string& entry : entries) {
        list += (list.empty() ? "" : ", ") + toml_string(entry);
    }
    return '[' + list + ']';
}

std::string IgnoreValue::allowed() const {
    std::string text =
        "an array of strings, each once, " + std::to_string(most) +
        " at most: \"loopback\", an address or a subnet as \"10.9.0.0/16\", a destination port from \"1\" to "
        "\"65535\", a protocol (";
    for (const auto& [name, number] : protocols) {
        text += (text.ends_with('(') ? "" : ", ") + std::string(name);
    }
    return text + "), or protocol/port as \"tcp/53\"";
}

}  // namespace flowkin
