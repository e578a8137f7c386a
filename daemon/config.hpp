// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "json/line_encoder.hpp"
#include "listen_address.hpp"
#include "pipeline/pipeline.hpp"

/// What an operator may choose. The defaults here are those of the shipped flowkin.toml, which explains each
/// key; an empty optional is "off". The keys themselves, with their ranges, stand in one table in
/// config_key.cpp.
namespace flowkin {

inline constexpr std::string_view default_config_file = "/etc/flowkin/flowkin.toml";

struct Config {
    struct Conntrack {
        std::uint64_t receive_buffer_bytes = 64ULL << 20U;
        std::string netns;  ///< a name of `ip netns` or an absolute path; empty: the one we run in
        std::optional<nanoseconds> reconcile_interval = std::chrono::minutes(5);
        std::optional<nanoseconds> stall_after = std::chrono::seconds(30);
        bool no_enobufs = true;                        ///< NETLINK_NO_ENOBUFS: see docs/decisions
        bool reliable_destroy = false;                 ///< NETLINK_BROADCAST_ERROR, guarded
        unsigned reliable_destroy_limit_percent = 80;  ///< of nf_conntrack_max
        friend bool operator==(const Conntrack&, const Conntrack&) = default;
    };

    struct Packets {
        std::vector<std::uint16_t> groups;  ///< of NFLOG, in order; none: no packets are read
        friend bool operator==(const Packets&, const Packets&) = default;
    };

    struct Filter {
        std::vector<std::string> ignore;  ///< as written, each good for parse_ignore_entry()
        friend bool operator==(const Filter&, const Filter&) = default;
    };

    struct Table {
        std::uint64_t capacity = 0;  ///< flows; 0: derived from nf_conntrack_max
        friend bool operator==(const Table&, const Table&) = default;
    };

    enum class Destination : std::uint8_t { standard_output, file };

    struct Output {
        Destination destination = Destination::standard_output;
        std::string path = "/var/log/flowkin/flow.ndjson";
        Updates updates = Updates::significant;
        std::optional<nanoseconds> active_interval;
        std::optional<nanoseconds> stats_interval;
        std::optional<std::uint64_t> rotate_bytes = 256ULL << 20U;
        unsigned rotate_keep = 10;
        std::uint64_t queue_bytes = 64ULL << 20U;
        std::optional<std::uint64_t> journal_rate =
            5000;  ///< lines a second; with more the journal is warned of
        StaticFields fields;
        friend bool operator==(const Output&, const Output&) = default;
    };

    struct State {
        std::string path;  ///< empty: in the unit's StateDirectory, and none outside a unit
        nanoseconds interval = std::chrono::minutes(1);
        friend bool operator==(const State&, const State&) = default;
    };

    struct Metrics {
        std::optional<ListenAddress> listen;
        friend bool operator==(const Metrics&, const Metrics&) = default;
    };

    struct Control {
        /// A path; "": in the unit's RuntimeDirectory, and none outside a unit; empty: none.
        std::optional<std::string> socket = "";
        friend bool operator==(const Control&, const Control&) = default;
    };

    /// Numbered as spdlog numbers its levels.
    enum class LogLevel : std::uint8_t { trace, debug, info, warning, error };

    struct Log {
        LogLevel level = LogLevel::info;
        friend bool operator==(const Log&, const Log&) = default;
    };

    Conntrack conntrack;
    Packets packets;
    Filter filter;
    Table table;
    Output output;
    State state;
    Metrics metrics;
    Control control;
    Log log;
    friend bool operator==(const Config&, const Config&) = default;
};

/// The defaults, then the file, then the overrides (KEY=VALUE; the value as in the file, quotes may be left
/// out).
///
/// Without `file` the default one is read, where there is one; a file that is named must be there. Every
/// error is Fault::configuration and one line: `FILE:LINE:COLUMN: KEY: what is wrong; what is allowed`, with
/// `--set KEY` as the place of an override.
Result<Config> load_config(const std::optional<std::filesystem::path>& file,
                           std::span<const std::string> overrides = {});

/// As load_config(), with the text of the file at hand. `name` is the file's name in errors.
Result<Config> parse_config(std::string_view text, std::string_view name,
                            std::span<const std::string> overrides = {});

/// A TOML file of every key, which loads to an equal Config.
std::string print_config(const Config& config);

/// Keys whose values differ, by what it takes to change them.
struct ConfigChange {
    std::vector<std::string> changed;  ///< applies while running
    std::vector<std::string> needs_restart;
};

ConfigChange compare(const Config& running, const Config& wanted);

/// The running configuration with what applies while running taken from the wanted one.
Config adopt(const Config& running, const Config& wanted);

/// Every key there is, as "output.updates", in the order of the shipped file.
std::vector<std::string> known_config_keys();

}  // namespace flowkin
