// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "ledger/log_record.hpp"

namespace flowkin {

/// One line of a log, taken apart. Fields are asked for by their path, as "conntrack.parent.uid"; one that is
/// absent or of another kind than it should be is simply not there.
class RecordFields {
  public:
    /// None where the line is not one JSON object.
    static std::optional<RecordFields> parse(std::string_view line);

    /// Empty where there is none.
    std::string_view text(std::string_view path) const;
    std::optional<std::uint64_t> number(std::string_view path) const;
    std::optional<Uid> uid(std::string_view path) const;
    std::optional<WallTime> time(std::string_view path) const;
    std::optional<bool> truth(std::string_view path) const;
    /// The strings (and numbers, as text) of an array.
    std::vector<std::string> list(std::string_view path) const;
    bool has(std::string_view path) const { return find(path) != nullptr; }
    /// A field of an array's place: list_time("conntrack.end_window", 1).
    std::optional<WallTime> list_time(std::string_view path, std::size_t place) const;

    std::string_view action() const { return text("event.action"); }

    const nlohmann::json& object() const { return object_; }

  private:
    explicit RecordFields(nlohmann::json object) : object_(std::move(object)) {}
    const nlohmann::json* find(std::string_view path) const;

    nlohmann::json object_;
};

}  // namespace flowkin
