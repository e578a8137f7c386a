// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

/// A listed flow, an object with the names of docs/event-format.md, as a person reads it. Members that are
/// missing or of another type leave their place empty: an older flowkinctl understands a newer flowkin.
namespace flowkin {

/// The head of the table.
std::string flow_table_head();

/// A row of the table: uid, protocol, both ends, state, mark, and what few flows have.
std::string flow_row(const nlohmann::json& flow);

/// One flow of a family: what it is, without who it descends from.
std::string flow_label(const nlohmann::json& flow);

/// Members of a listed flow; empty where it has none.
std::string flow_uid(const nlohmann::json& flow);
std::string flow_parent_uid(const nlohmann::json& flow);

}  // namespace flowkin
