// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config_value.hpp"
#include "flow/ignored_flows.hpp"

/// [filter] ignore, as an operator writes it.
namespace flowkin {

/// The rules that one entry stands for: "loopback"; an address or a subnet ("10.9.0.0/16", "fd00::/8"); a
/// protocol ("udp"); a port ("53"); both ("tcp/53"). None where it is nothing of these.
std::optional<std::vector<IgnoreRule>> parse_ignore_entry(std::string_view entry);

/// The rules of all entries, each of which is good.
std::vector<IgnoreRule> ignore_rules(const std::vector<std::string>& entries);

/// A list of such entries.
struct IgnoreValue {
    static constexpr std::size_t most = 64;
    Wrong read(const TomlValue& value, std::vector<std::string>& entries) const;
    std::string write(const std::vector<std::string>& entries) const;
    std::string allowed() const;
};

}  // namespace flowkin
