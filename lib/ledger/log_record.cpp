// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/log_record.hpp"

#include <array>
#include <charconv>
#include <utility>

#include "ledger/json_cursor.hpp"

namespace flowkin {

namespace {

constexpr std::array<std::string_view, loss_places> loss_place_names{"kernel-socket", "sink-queue",
                                                                     "sink-write", "decoder", "elsewhere"};

constexpr std::uint8_t no_digit = 0x80;

/// What each byte is worth as a lower-case hexadecimal digit.
constexpr std::array<std::uint8_t, 256> hex_values = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(no_digit);
    for (unsigned digit = 0; digit < 16; ++digit) {
        values[static_cast<unsigned char>("0123456789abcdef"[digit])] = static_cast<std::uint8_t>(digit);
    }
    return values;
}();

std::optional<std::uint64_t> parse_hex64(std::string_view text) {
    if (text.size() != 16) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    unsigned seen = 0;
    for (const char byte : text) {
        const unsigned digit = hex_values[static_cast<unsigned char>(byte)];
        seen |= digit;
        value = value << 4U | (digit & 0xfU);
    }
    if ((seen & no_digit) != 0) {
        return std::nullopt;
    }
    return value;
}

LogAction action_of(std::string_view text) {
    if (text == "flow-start" || text == "flow-seen") {
        return LogAction::flow_opening;
    }
    if (text == "flow-end") {
        return LogAction::flow_end;
    }
    if (text == "events-lost") {
        return LogAction::events_lost;
    }
    if (text == "monitor-start") {
        return LogAction::monitor_start;
    }
    if (text == "monitor-stop") {
        return LogAction::monitor_stop;
    }
    return LogAction::other;
}

LogLossPlace place_of(std::string_view text) {
    for (std::size_t i = 0; i < loss_places; ++i) {
        if (loss_place_names[i] == text) {
            return static_cast<LogLossPlace>(i);
        }
    }
    return LogLossPlace::other;
}

/// Goes down into the objects that hold what the law needs, each by its own small function.
class RecordReader {
  public:
    RecordReader(std::string_view line, LogRecord& record) : cursor_(line), record_(record) {}

    bool read() {
        return cursor_.object([this](const JsonString& raw) {
            const std::string_view key = unescape(raw, key_);
            if (key == "event") {
                return event();
            }
            return key == "conntrack" ? conntrack() : cursor_.skip();
        }) && cursor_.at_end();
    }

  private:
    bool event() {
        return object("event", [this](std::string_view key) {
            if (key == "sequence") {
                return integer("event.sequence", record_.sequence);
            }
            if (key == "id") {
                return uid("event.id", record_.id);
            }
            if (key == "action") {
                std::string_view action;
                if (!text("event.action", seen_action_, action)) {
                    return false;
                }
                record_.action = action_of(action);
                return true;
            }
            return cursor_.skip();
        });
    }

    bool conntrack() {
        return object("conntrack", [this](std::string_view key) {
            if (key == "uid") {
                return uid("conntrack.uid", record_.uid);
            }
            if (key == "parent") {
                return object("conntrack.parent", [this](std::string_view field) {
                    return field == "uid" ? uid("conntrack.parent.uid", record_.parent) : cursor_.skip();
                });
            }
            if (key == "lineage") {
                return object("conntrack.lineage", [this](std::string_view field) {
                    return field == "root" ? uid("conntrack.lineage.root", record_.root) : cursor_.skip();
                });
            }
            if (key == "expectation") {
                return expectation();
            }
            if (key == "gaps") {
                return gaps();
            }
            if (key == "loss") {
                return loss();
            }
            return key == "monitor" ? monitor() : cursor_.skip();
        });
    }

    bool expectation() {
        return object("conntrack.expectation", [this](std::string_view key) {
            return key == "child" ? uid("conntrack.expectation.child", record_.child) : cursor_.skip();
        });
    }

    bool gaps() {
        if (cursor_.peek() != '[') {
            return refuse("conntrack.gaps");
        }
        return cursor_.array([this] {
            if (cursor_.peek() != '"') {
                return refuse("conntrack.gaps");
            }
            JsonString raw;
            if (!cursor_.string(raw)) {
                return false;
            }
            record_.table_full |= unescape(raw, value_) == "table-full";
            return true;
        });
    }

    bool loss() {
        return object("conntrack.loss", [this](std::string_view key) {
            if (key == "where") {
                std::string_view place;
                if (!text("conntrack.loss.where", seen_place_, place)) {
                    return false;
                }
                record_.loss_place = place_of(place);
                return true;
            }
            if (key == "count") {
                return integer("conntrack.loss.count", record_.loss_count);
            }
            if (key == "first_sequence") {
                return integer("conntrack.loss.first_sequence", record_.loss_first_sequence);
            }
            if (key == "last_sequence") {
                return integer("conntrack.loss.last_sequence", record_.loss_last_sequence);
            }
            return cursor_.skip();
        });
    }

    bool monitor() {
        return object("conntrack.monitor", [this](std::string_view key) {
            if (key == "run") {
                return run("conntrack.monitor.run", record_.monitor_run);
            }
            if (key == "previous_run") {
                return run("conntrack.monitor.previous_run", record_.previous_run);
            }
            if (key == "state") {
                std::string_view state;
                if (!text("conntrack.monitor.state", seen_state_, state)) {
                    return false;
                }
                record_.continues = state == "restored" || state == "inherited-socket";
                return true;
            }
            if (key == "totals") {
                return object("conntrack.monitor.totals", [this](std::string_view field) {
                    return field == "flows_live"
                               ? integer("conntrack.monitor.totals.flows_live", record_.flows_live)
                               : cursor_.skip();
                });
            }
            return cursor_.skip();
        });
    }

    /// An object of ours that is something else is passed over, and the record says so.
    template <class Member>
    bool object(const char* field, Member&& member) {
        if (cursor_.peek() != '{') {
            return refuse(field);
        }
        return cursor_.object([&](const JsonString& key) { return member(unescape(key, key_)); });
    }

    bool refuse(const char* field) {
        blame(field);
        return cursor_.skip();
    }

    void blame(const char* field) {
        if (record_.malformed == nullptr) {
            record_.malformed = field;
        }
    }

    bool text(const char* field, bool& seen, std::string_view& value) {
        if (std::exchange(seen, true)) {
            blame(field);
        }
        if (cursor_.peek() != '"') {
            return refuse(field);
        }
        JsonString raw;
        if (!cursor_.string(raw)) {
            return false;
        }
        value = unescape(raw, value_);
        return true;
    }

    template <class Value, class Parse>
    bool hex(const char* field, std::optional<Value>& value, Parse parse) {
        bool seen = value.has_value();
        std::string_view digits;
        if (!text(field, seen, digits)) {
            return false;
        }
        value = parse(digits);
        if (!value) {
            blame(field);
        }
        return true;
    }

    bool uid(const char* field, std::optional<Uid>& value) { return hex(field, value, parse_uid); }
    bool run(const char* field, std::optional<std::uint64_t>& value) {
        return hex(field, value, parse_hex64);
    }

    bool integer(const char* field, std::optional<std::uint64_t>& value) {
        if (value) {
            blame(field);
        }
        const char first = cursor_.peek();
        if (first < '0' || first > '9') {
            return refuse(field);
        }
        std::string_view digits;
        if (!cursor_.number(digits)) {
            return false;
        }
        std::uint64_t number = 0;
        const char* const end = digits.data() + digits.size();
        const auto [stopped, fault] = std::from_chars(digits.data(), end, number);
        if (fault != std::errc() || stopped != end) {
            blame(field);
            return true;
        }
        value = number;
        return true;
    }

    JsonCursor cursor_;
    LogRecord& record_;
    bool seen_action_ = false;
    bool seen_place_ = false;
    bool seen_state_ = false;
    std::array<char, 64> key_{};
    std::array<char, 64> value_{};
};

}  // namespace

std::string_view name(LogLossPlace place) {
    return loss_place_names[static_cast<std::size_t>(place)];
}

std::optional<Uid> parse_uid(std::string_view text) {
    if (text.size() != 32) {
        return std::nullopt;
    }
    const auto run = parse_hex64(text.substr(0, 16));
    const auto counter = parse_hex64(text.substr(16));
    if (!run || !counter) {
        return std::nullopt;
    }
    return Uid{*run, *counter};
}

bool read_record(std::string_view line, LogRecord& record) {
    record = LogRecord{};
    return RecordReader(line, record).read();
}

}  // namespace flowkin
