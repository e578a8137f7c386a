// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config.hpp"
#include "toml_document.hpp"

namespace flowkin {

/// One key of the configuration: what loads, prints, compares and adopts it. The whole configuration is the
/// list of these, so that a new key is one line in config_key.cpp beside its member in Config.
struct ConfigKey {
    enum class Applies : std::uint8_t { while_running, after_restart };

    std::string_view name;
    Applies applies;
    /// Empty: taken. Else the config is as before, and this says what is wrong and what is allowed.
    std::function<std::optional<std::string>(Config&, const TomlValue&)> set;
    /// The value as TOML.
    std::function<std::string(const Config&)> print;
    std::function<void(const Config& from, Config& to)> copy;
};

/// In the order of the shipped file; keys of one section stand together.
std::span<const ConfigKey> config_keys();

/// Below this key, at any depth, an operator names the static fields of every line.
inline constexpr std::string_view fields_key = "output.fields";

/// Adds or replaces a static field, named by its dotted path; the answer is as ConfigKey::set gives it.
std::optional<std::string> add_field(Config& config, std::string name, const TomlValue& value);

}  // namespace flowkin
