// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/json_cursor.hpp"

#include <algorithm>

namespace flowkin {

namespace {

bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/// The value of a hexadecimal digit; 16 where it is none.
unsigned hex_value(char byte) {
    if (is_digit(byte)) {
        return static_cast<unsigned>(byte - '0');
    }
    if (byte >= 'a' && byte <= 'f') {
        return static_cast<unsigned>(byte - 'a') + 10;
    }
    if (byte >= 'A' && byte <= 'F') {
        return static_cast<unsigned>(byte - 'A') + 10;
    }
    return 16;
}

constexpr unsigned high_surrogate = 0xd800;
constexpr unsigned low_surrogate = 0xdc00;
constexpr unsigned after_surrogates = 0xe000;

}  // namespace

bool JsonCursor::skip() {
    switch (peek()) {
        case '{':
            return object([this](const JsonString&) { return skip(); });
        case '[':
            return array([this] { return skip(); });
        case '"': {
            ++at_;
            bool escaped = false;
            return pass_string(escaped);
        }
        case 't':
            return word("true");
        case 'f':
            return word("false");
        case 'n':
            return word("null");
        default: {
            std::string_view text;
            return number(text);
        }
    }
}

bool JsonCursor::number(std::string_view& text) {
    skip_space();
    const char* const begin = at_;
    if (at_ != end_ && *at_ == '-') {
        ++at_;
    }
    const bool leading_zero = at_ != end_ && *at_ == '0';
    const char* const first_digit = at_;
    if (!digits() || (leading_zero && at_ - first_digit > 1)) {
        return false;
    }
    if (at_ != end_ && *at_ == '.') {
        ++at_;
        if (!digits()) {
            return false;
        }
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
        ++at_;
        if (at_ != end_ && (*at_ == '+' || *at_ == '-')) {
            ++at_;
        }
        if (!digits()) {
            return false;
        }
    }
    text = {begin, static_cast<std::size_t>(at_ - begin)};
    return true;
}

bool JsonCursor::digits() {
    const char* const begin = at_;
    while (at_ != end_ && is_digit(*at_)) {
        ++at_;
    }
    return at_ != begin;
}

bool JsonCursor::word(std::string_view wanted) {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(wanted)) {
        return false;
    }
    at_ += wanted.size();
    return true;
}

bool JsonCursor::pass_special(bool& escaped) {
    const auto byte = static_cast<unsigned char>(*at_);
    if (byte == '\\') {
        escaped = true;
        return pass_escape();
    }
    return byte >= 0x80 && pass_utf8();
}

bool JsonCursor::pass_escape() {
    ++at_;
    if (at_ == end_) {
        return false;
    }
    const char kind = *at_++;
    if (kind != 'u') {
        return std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
    }
    unsigned unit = 0;
    if (!hex4(unit)) {
        return false;
    }
    if (unit < high_surrogate || unit >= after_surrogates) {
        return true;
    }
    return unit < low_surrogate && word("\\u") && hex4(unit) && unit >= low_surrogate &&
           unit < after_surrogates;
}

bool JsonCursor::hex4(unsigned& value) {
    if (end_ - at_ < 4) {
        return false;
    }
    value = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned digit = hex_value(*at_++);
        if (digit > 15) {
            return false;
        }
        value = value << 4U | digit;
    }
    return true;
}

bool JsonCursor::pass_utf8() {
    // The first byte gives the length, and with it the range of the second: no overlong form, no surrogate,
    // nothing beyond U+10FFFF (Unicode, table 3-7).
    const auto lead = static_cast<unsigned char>(*at_);
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    std::ptrdiff_t length = 0;
    if (lead >= 0xc2 && lead <= 0xdf) {
        length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        length = 3;
        low = lead == 0xe0 ? 0xa0 : low;
        high = lead == 0xed ? 0x9f : high;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        length = 4;
        low = lead == 0xf0 ? 0x90 : low;
        high = lead == 0xf4 ? 0x8f : high;
    }
    if (length == 0 || end_ - at_ < length) {
        return false;
    }
    for (std::ptrdiff_t i = 1; i < length; ++i) {
        const auto byte = static_cast<unsigned char>(at_[i]);
        if (byte < low || byte > high) {
            return false;
        }
        low = 0x80;
        high = 0xbf;
    }
    at_ += length;
    return true;
}

std::string_view unescape(const JsonString& text, std::array<char, 64>& storage) {
    if (!text.escaped) {
        return text.raw;
    }
    std::size_t length = 0;
    const auto put = [&](unsigned byte) {
        if (length < storage.size()) {
            storage[length++] = static_cast<char>(byte);
        }
    };
    for (std::size_t i = 0; i < text.raw.size() && length < storage.size(); ++i) {
        if (text.raw[i] != '\\') {
            put(static_cast<unsigned char>(text.raw[i]));
            continue;
        }
        const char kind = text.raw[++i];
        if (kind != 'u') {
            constexpr std::string_view names = "bfnrt";
            constexpr std::string_view meanings = "\b\f\n\r\t";
            const std::size_t found = names.find(kind);
            put(static_cast<unsigned char>(found == std::string_view::npos ? kind : meanings[found]));
            continue;
        }
        unsigned unit = 0;
        for (int digit = 0; digit < 4; ++digit) {
            unit = unit << 4U | hex_value(text.raw[++i]);
        }
        // Names that anyone looks for are ASCII; the rest only has to differ from them.
        put(unit < 0x80 ? unit : 0xff);
    }
    return {storage.data(), length};
}

}  // namespace flowkin
