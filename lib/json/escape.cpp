// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/escape.hpp"

#include <cstdint>
#include <cstring>

#include "json/number_text.hpp"

namespace flowkin {
namespace {

/// What stands at the beginning of a text: a character, or the longest part of one that cannot be completed.
struct Sequence {
    std::size_t length = 1;
    bool well_formed = false;
};

std::uint8_t byte_at(std::string_view text, std::size_t place) {
    return static_cast<std::uint8_t>(text[place]);
}

/// Table 3-7 of the Unicode standard: the first byte tells the length, and narrows the second byte so that
/// overlong forms, surrogates and what lies beyond U+10FFFF are ill-formed.
Sequence first_sequence(std::string_view text) {
    const std::uint8_t lead = byte_at(text, 0);
    if (lead < 0x80) {
        return {1, true};
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return {1, false};
    }
    const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint8_t lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    std::uint8_t highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    for (std::size_t place = 1; place < length; ++place) {
        if (place == text.size() || byte_at(text, place) < lowest || byte_at(text, place) > highest) {
            return {place, false};
        }
        lowest = 0x80;
        highest = 0xbf;
    }
    return {length, true};
}

char* append(char* to, std::string_view text) {
    std::memcpy(to, text.data(), text.size());
    return to + text.size();
}

}  // namespace

char* write_escaped(char* to, std::string_view text) {
    while (!text.empty()) {
        const std::uint8_t lead = byte_at(text, 0);
        const Sequence sequence = first_sequence(text);
        if (!sequence.well_formed) {
            to = append(to, "\xef\xbf\xbd");
        } else if (lead < 0x20) {
            to = append(to, "\\u00");
            to = append(to, {&hex_pairs[std::size_t{2} * lead], 2});
        } else {
            if (lead == '"' || lead == '\\') {
                *to++ = '\\';
            }
            to = append(to, text.substr(0, sequence.length));
        }
        text.remove_prefix(sequence.length);
    }
    return to;
}

std::string escaped(std::string_view text) {
    std::string result(text.size() * escaped_bytes_a_byte, '\0');
    const char* end = write_escaped(result.data(), text);
    result.resize(static_cast<std::size_t>(end - result.data()));
    return result;
}

}  // namespace flowkin
