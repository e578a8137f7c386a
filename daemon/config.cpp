// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <numeric>
#include <set>
#include <utility>

#include "config_file.hpp"
#include "config_key.hpp"
#include "toml_document.hpp"

namespace flowkin {
namespace {

std::string_view section_of(std::string_view key) {
    return key.substr(0, key.find('.'));
}
std::string_view word_of(std::string_view key) {
    return key.substr(key.rfind('.') + 1);
}

/// No known name is as long.
constexpr std::size_t name_limit = 64;

/// Letters to insert, remove or replace to make one name of the other.
std::size_t distance(std::string_view a, std::string_view b) {
    assert(b.size() <= name_limit);
    std::array<std::size_t, name_limit + 1> row{};
    std::iota(row.begin(), row.end(), 0U);
    for (const char letter : a) {
        std::size_t diagonal = row[0]++;
        for (std::size_t i = 0; i < b.size(); ++i) {
            const std::size_t replaced = diagonal + (letter == b[i] ? 0U : 1U);
            diagonal = row[i + 1];
            row[i + 1] = std::min({replaced, row[i] + 1, row[i + 1] + 1});
        }
    }
    return row[b.size()];
}

/// The known name that was probably meant; empty: none is near.
std::string_view nearest(std::string_view name, std::span<const std::string_view> known) {
    if (name.size() > name_limit) {
        return {};
    }
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, name.size() / 4) + 1;
    for (const std::string_view candidate : known) {
        // The right word in a wrong section, or in none, is the likeliest slip after a wrong letter.
        const std::size_t away = word_of(name) == word_of(candidate) ? 1 : distance(name, candidate);
        if (away < best_distance) {
            best = candidate;
            best_distance = away;
        }
    }
    return best;
}

struct KnownNames {
    std::vector<std::string_view> sections;
    std::vector<std::string_view> keys;
};

const KnownNames& known_names() {
    static const KnownNames names = [] {
        KnownNames found;
        for (const ConfigKey& key : config_keys()) {
            found.keys.push_back(key.name);
            if (found.sections.empty() || found.sections.back() != section_of(key.name)) {
                found.sections.push_back(section_of(key.name));
            }
        }
        return found;
    }();
    return names;
}

bool is_section(std::string_view name) {
    const auto& sections = known_names().sections;
    return std::find(sections.begin(), sections.end(), name) != sections.end();
}

std::string unknown(std::string_view what, std::string_view name, std::span<const std::string_view> known) {
    std::string text = "unknown " + std::string(what) + "; ";
    if (const std::string_view meant = nearest(name, known); !meant.empty()) {
        return text + "did you mean " + std::string(meant) + '?';
    }
    const bool in_section = is_section(section_of(name));
    std::string separator = in_section ? "known are " : "known sections are ";
    for (const std::string_view candidate : in_section ? known_names().keys : known_names().sections) {
        if (!in_section || section_of(candidate) == section_of(name)) {
            text += separator + std::string(candidate);
            separator = ", ";
        }
    }
    return text;
}

/// "labels.site" for the path of output.fields.labels.site, however its words were quoted.
std::string field_name(const std::vector<std::string>& path) {
    std::string name = path[2];
    for (std::size_t i = 3; i < path.size(); ++i) {
        name += '.' + path[i];
    }
    return name;
}

/// Empty: taken. Else what is wrong and what is allowed. `fields` are those that the same text named before.
std::optional<std::string> take(Config& config, const TomlEntry& entry, const std::string& name,
                                std::set<std::string>& fields) {
    const auto keys = config_keys();
    const auto known =
        std::find_if(keys.begin(), keys.end(), [&](const ConfigKey& key) { return key.name == name; });
    if (known != keys.end()) {
        return known->set(config, entry.value);
    }
    const bool is_table = std::holds_alternative<TomlTable>(entry.value);
    if (name.starts_with(std::string(fields_key) + '.')) {
        if (is_table && entry.path.size() < toml_depth_limit) {
            return std::nullopt;
        }
        std::string field = field_name(entry.path);
        const bool twice = !fields.insert(field).second;
        return twice ? "is there twice; allowed is once" : add_field(config, std::move(field), entry.value);
    }
    if (is_section(name)) {
        return is_table ? std::nullopt
                        : std::optional(std::string(toml_type(entry.value)) + " where the section [" + name +
                                        "] is meant");
    }
    if (entry.path.size() == 1 && is_table) {
        return unknown("section", name, known_names().sections);
    }
    return unknown("key", name, known_names().keys);
}

/// What is wrong with an entry, and where.
struct Refusal {
    const TomlEntry* entry;
    std::string name;
    std::string why;
};

std::optional<Refusal> take_all(Config& config, const std::vector<TomlEntry>& entries) {
    std::set<std::string> fields;
    for (const TomlEntry& entry : entries) {
        std::string name = toml_key(entry.path);
        if (const auto why = take(config, entry, name, fields)) {
            return Refusal{&entry, std::move(name), *why};
        }
    }
    return std::nullopt;
}

std::string_view trim(std::string_view text) {
    const std::size_t first = std::min(text.find_first_not_of(' '), text.size());
    return text.substr(first, text.find_last_not_of(' ') + 1 - first);
}

/// Takes KEY=VALUE. The value may leave its quotes out, so where it makes no sense as TOML it is a string.
std::optional<Error> override_key(Config& config, const std::string& text) {
    const auto refuse = [](const std::string& why) { return Error{Fault::configuration, "--set " + why}; };
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
        return refuse(toml_string(text) + ": no value; allowed is KEY=VALUE");
    }
    const std::string key = text.substr(0, equals);
    const auto typed = parse_toml(text, "");
    const bool one_line = text.find('\n') == std::string::npos;
    std::optional<Refusal> first_refusal;
    if (typed && one_line) {
        Config changed = config;
        first_refusal = take_all(changed, *typed);
        if (!first_refusal) {
            config = std::move(changed);
            return std::nullopt;
        }
    }
    const auto bare =
        parse_toml(key + '=' + toml_string(trim(std::string_view(text).substr(equals + 1))), "");
    if (!bare || key.find('\n') != std::string::npos) {
        return refuse(toml_string(key) + ": not a key; allowed is KEY=VALUE");
    }
    auto refusal = take_all(config, *bare);
    if (!refusal) {
        return std::nullopt;
    }
    const Refusal& told = first_refusal ? *first_refusal : *refusal;
    return refuse(told.name + ": " + told.why);
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string_view name,
                            std::span<const std::string> overrides) {
    const auto entries = parse_toml(text, name);
    if (!entries) {
        return tl::unexpected(entries.error());
    }
    Config config;
    if (const auto refusal = take_all(config, *entries)) {
        const auto [line, column] = refusal->entry->key_place;
        return fail(Fault::configuration, std::string(name) + ':' + std::to_string(line) + ':' +
                                              std::to_string(column) + ": " + refusal->name + ": " +
                                              refusal->why);
    }
    for (const std::string& text_of_override : overrides) {
        if (auto error = override_key(config, text_of_override)) {
            return tl::unexpected(std::move(*error));
        }
    }
    return config;
}

Result<Config> load_config(const std::optional<std::filesystem::path>& file,
                           std::span<const std::string> overrides) {
    const std::filesystem::path name = file.value_or(default_config_file);
    const auto text = read_config_file(name);
    if (!text) {
        return tl::unexpected(text.error());
    }
    if (!*text && file) {
        return fail(Fault::configuration, name.string() + ": no such file");
    }
    return parse_config(text->value_or(""), name.string(), overrides);
}

std::string print_config(const Config& config) {
    std::string text;
    std::string_view section;
    for (const ConfigKey& key : config_keys()) {
        if (section != section_of(key.name)) {
            section = section_of(key.name);
            text += (text.empty() ? "[" : "\n[") + std::string(section) + "]\n";
        }
        text += std::string(word_of(key.name)) + " = " + key.print(config) + '\n';
    }
    return text;
}

ConfigChange compare(const Config& running, const Config& wanted) {
    ConfigChange change;
    for (const ConfigKey& key : config_keys()) {
        if (key.print(running) != key.print(wanted)) {
            auto& list =
                key.applies == ConfigKey::Applies::while_running ? change.changed : change.needs_restart;
            list.emplace_back(key.name);
        }
    }
    return change;
}

Config adopt(const Config& running, const Config& wanted) {
    Config adopted = running;
    for (const ConfigKey& key : config_keys()) {
        if (key.applies == ConfigKey::Applies::while_running) {
            key.copy(wanted, adopted);
        }
    }
    return adopted;
}

std::vector<std::string> known_config_keys() {
    return {known_names().keys.begin(), known_names().keys.end()};
}

}  // namespace flowkin
