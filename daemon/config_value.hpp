// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "listen_address.hpp"
#include "toml_document.hpp"

/// Kinds of values that a configuration key takes. Each kind reads a TOML value into a variable (and says
/// what is wrong where it cannot, leaving the variable alone), writes it as TOML, and says in words what it
/// allows.
namespace flowkin {

/// Empty: nothing is wrong.
using Wrong = std::optional<std::string>;

inline Wrong wrong_type(const TomlValue& value) {
    return "is " + std::string(toml_type(value));
}

bool holds_control_character(std::string_view text);

struct SizeValue {
    std::uint64_t least;
    std::uint64_t most;
    Wrong read(const TomlValue& value, std::uint64_t& bytes) const;
    std::string write(std::uint64_t bytes) const;
    std::string allowed() const;
};

struct DurationValue {
    nanoseconds least;
    Wrong read(const TomlValue& value, nanoseconds& duration) const;
    std::string write(nanoseconds duration) const;
    std::string allowed() const;
};

struct IntegerValue {
    std::uint32_t least;
    std::uint32_t most;
    Wrong read(const TomlValue& value, std::uint64_t& number) const;
    Wrong read(const TomlValue& value, unsigned& number) const;
    std::string write(std::uint64_t number) const { return std::to_string(number); }
    std::string allowed() const;
};

struct SwitchValue {
    Wrong read(const TomlValue& value, bool& on) const {
        const auto* given = std::get_if<bool>(&value);
        if (given == nullptr) {
            return wrong_type(value);
        }
        on = *given;
        return std::nullopt;
    }
    std::string write(bool on) const { return on ? "true" : "false"; }
    std::string allowed() const { return "true or false"; }
};

/// Groups of NFLOG.
struct GroupsValue {
    static constexpr std::size_t most = 16;
    Wrong read(const TomlValue& value, std::vector<std::uint16_t>& groups) const;
    std::string write(const std::vector<std::uint16_t>& groups) const;
    std::string allowed() const;
};

/// An absolute path.
struct PathValue {
    bool may_be_empty;
    Wrong read(const TomlValue& value, std::string& path) const;
    std::string write(const std::string& path) const { return toml_string(path); }
    std::string allowed() const;
};

/// A network namespace.
struct NetnsValue {
    Wrong read(const TomlValue& value, std::string& netns) const;
    std::string write(const std::string& netns) const { return toml_string(netns); }
    std::string allowed() const;
};

/// Where to listen: nowhere that another machine could reach.
struct ListenValue {
    Wrong read(const TomlValue& value, ListenAddress& address) const;
    std::string write(const ListenAddress& address) const { return toml_string(listen_text(address)); }
    std::string allowed() const;
};

/// One of a few words, each for a value of an enumeration.
template <class Enum, std::size_t count>
struct WordValue {
    std::array<std::pair<std::string_view, Enum>, count> words;

    Wrong read(const TomlValue& value, Enum& chosen) const {
        const auto* text = std::get_if<std::string>(&value);
        if (text == nullptr) {
            return wrong_type(value);
        }
        for (const auto& [word, meaning] : words) {
            if (*text == word) {
                chosen = meaning;
                return std::nullopt;
            }
        }
        return toml_string(*text) + " is none of them";
    }

    std::string write(Enum chosen) const {
        for (const auto& [word, meaning] : words) {
            if (meaning == chosen) {
                return toml_string(word);
            }
        }
        return toml_string("");
    }

    std::string allowed() const {
        std::string list = "one of";
        for (const auto& [word, meaning] : words) {
            list += (list.size() > 6 ? ", " : " ") + toml_string(word);
        }
        return list;
    }
};

/// Another kind, or "off".
template <class Value>
struct OrOff {
    Value on;

    template <class T>
    Wrong read(const TomlValue& value, std::optional<T>& variable) const {
        if (const auto* text = std::get_if<std::string>(&value); text != nullptr && *text == "off") {
            variable.reset();
            return std::nullopt;
        }
        T read_on{};
        Wrong wrong = on.read(value, read_on);
        if (!wrong) {
            variable = read_on;
        }
        return wrong;
    }

    template <class T>
    std::string write(const std::optional<T>& variable) const {
        return variable ? on.write(*variable) : toml_string("off");
    }

    std::string allowed() const { return on.allowed() + ", or \"off\""; }
};

}  // namespace flowkin
