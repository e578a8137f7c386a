// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "flow/flow.hpp"
#include "json/address_text.hpp"
#include "json/community_id.hpp"
#include "json/escape.hpp"
#include "json/number_text.hpp"
#include "json/timestamp_text.hpp"

namespace flowkin {

/// Appends to one line, in memory that has room for the longest (see line_encoder.cpp for why none is
/// longer): no append looks at a bound. Constant text costs a copy of known length.
class LineWriter {
  public:
    LineWriter(char* begin, TimestampText& timestamps) : begin_(begin), to_(begin), timestamps_(timestamps) {}

    template <std::size_t size>
    void put(const char (&text)[size]) {
        std::memcpy(to_, text, size - 1);
        to_ += size - 1;
    }
    void put(std::string_view text) {
        std::memcpy(to_, text.data(), text.size());
        to_ += text.size();
    }
    void put(char character) { *to_++ = character; }

    void put_number(std::uint64_t value) { to_ = write_number(to_, value); }
    void put_signed(std::int64_t value) {
        if (value < 0) {
            put('-');
        }
        put_number(value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value));
    }
    void put_hex(std::uint64_t value) { to_ = write_hex(to_, value); }

    // From here on: values with their quotes.
    void put_uid(FlowUid uid) {
        put('"');
        put_hex(uid.run);
        put_hex(uid.counter);
        put('"');
    }
    void put_time(WallTime time) {
        put('"');
        to_ = timestamps_.write(to_, time);
        put('"');
    }
    void put_address(const Address& address, Family family) {
        put('"');
        to_ = write_address(to_, address, family);
        put('"');
    }
    void put_community_id(const Tuple& tuple) {
        put('"');
        to_ = write_community_id(to_, tuple);
        put('"');
    }
    /// A string from outside, of any bytes.
    void put_text(std::string_view text) {
        put('"');
        to_ = write_escaped(to_, text);
        put('"');
    }
    void put_word(std::string_view word) {
        put('"');
        put(word);
        put('"');
    }

    /// Closes a list or an object whose last element left a comma behind it.
    void close_after_comma(char bracket) { to_[-1] = bracket; }

    std::size_t length() const { return static_cast<std::size_t>(to_ - begin_); }

  private:
    char* begin_;
    char* to_;
    TimestampText& timestamps_;
};

}  // namespace flowkin
