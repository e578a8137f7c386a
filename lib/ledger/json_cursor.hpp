// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace flowkin {

/// A string of JSON as it stands between its quotes.
struct JsonString {
    std::string_view raw;
    bool escaped = false;  ///< `raw` holds backslashes: see unescape()
};

/// Walks over one JSON text and checks all of it, without building anything.
///
/// The caller goes down into the objects it knows and skips the rest; what is skipped is checked as strictly
/// as what is read (RFC 8259, valid UTF-8, no lone surrogate). Each step returns false where the text is not
/// JSON, and then the walk is over. Strings, which are most of a log line, are passed over eight bytes at a
/// time.
class JsonCursor {
  public:
    /// Deeper nesting is refused: no log line needs it, and the walk is recursive.
    static constexpr unsigned deepest = 256;

    explicit JsonCursor(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

    /// The first byte of the value that comes next; 0 at the end of the text.
    char peek() {
        skip_space();
        return at_ == end_ ? '\0' : *at_;
    }

    /// Nothing but white space is left.
    bool at_end() {
        skip_space();
        return at_ == end_;
    }

    /// Walks an object: `member(key)` is called at each value and must take it.
    template <class Member>
    bool object(Member&& member) {
        if (!take('{') || ++depth_ > deepest) {
            return false;
        }
        if (!take('}')) {
            JsonString key;
            do {
                if (!string(key) || !take(':') || !member(key)) {
                    return false;
                }
            } while (take(','));
            if (!take('}')) {
                return false;
            }
        }
        --depth_;
        return true;
    }

    /// Walks an array: `element()` is called at each value and must take it.
    template <class Element>
    bool array(Element&& element) {
        if (!take('[') || ++depth_ > deepest) {
            return false;
        }
        if (!take(']')) {
            do {
                if (!element()) {
                    return false;
                }
            } while (take(','));
            if (!take(']')) {
                return false;
            }
        }
        --depth_;
        return true;
    }

    bool string(JsonString& text) {
        if (!take('"')) {
            return false;
        }
        const char* const begin = at_;
        text.escaped = false;
        if (!pass_string(text.escaped)) {
            return false;
        }
        text.raw = {begin, static_cast<std::size_t>(at_ - 1 - begin)};
        return true;
    }

    bool number(std::string_view& text);
    bool skip();

  private:
    void skip_space() {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) {
            ++at_;
        }
    }

    bool take(char wanted) {
        skip_space();
        if (at_ == end_ || *at_ != wanted) {
            return false;
        }
        ++at_;
        return true;
    }

    bool pass_string(bool& escaped) {
        for (;;) {
            pass_plain();
            if (at_ == end_) {
                return false;
            }
            if (*at_ == '"') {
                ++at_;
                return true;
            }
            if (!pass_special(escaped)) {
                return false;
            }
        }
    }

    /// Stops at the first byte that is not plain: a quote, a backslash, a control character, or beyond ASCII.
    void pass_plain() {
        while (end_ - at_ >= 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, at_, sizeof word);
            if constexpr (std::endian::native == std::endian::big) {
                word = __builtin_bswap64(word);
            }
            const std::uint64_t special = special_bytes(word);
            if (special != 0) {
                at_ += std::countr_zero(special) / 8;
                return;
            }
            at_ += 8;
        }
        while (at_ != end_ && is_plain(*at_)) {
            ++at_;
        }
    }

    /// The high bit of each byte that is not plain. Exact up to the first such byte, which is all that is
    /// asked.
    static std::uint64_t special_bytes(std::uint64_t word) {
        constexpr std::uint64_t each = 0x0101010101010101;
        const std::uint64_t quote = word ^ (each * '"');
        const std::uint64_t backslash = word ^ (each * '\\');
        return (((quote - each) & ~quote) | ((backslash - each) & ~backslash) | (word - each * 0x20) | word) &
               (each * 0x80);
    }

    static bool is_plain(char byte) {
        const auto value = static_cast<unsigned char>(byte);
        return value >= 0x20 && value < 0x80 && byte != '"' && byte != '\\';
    }

    bool pass_special(bool& escaped);
    bool pass_escape();
    bool pass_utf8();
    bool hex4(unsigned& value);
    bool word(std::string_view wanted);
    bool digits();

    const char* at_;
    const char* end_;
    unsigned depth_ = 0;
};

/// What the string means, its escapes resolved, in `storage` where there are any. Of a string that does not
/// fit, the part that does: long enough to tell it from any name a caller looks for.
std::string_view unescape(const JsonString& text, std::array<char, 64>& storage);

}  // namespace flowkin
