// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/address_text.hpp"

#include <array>
#include <cstring>

namespace flowkin {
namespace {

/// An octet's decimal digits and a dot behind them: one copy of four bytes, whatever its length.
struct OctetText {
    std::array<char, 4> text{};
    std::uint8_t digits = 0;
};

constexpr auto octet_texts = [] {
    std::array<OctetText, 256> texts{};
    for (unsigned octet = 0; octet < texts.size(); ++octet) {
        OctetText& entry = texts[octet];
        for (unsigned unit = octet >= 100 ? 100 : octet >= 10 ? 10 : 1; unit != 0; unit /= 10) {
            entry.text[entry.digits++] = static_cast<char>('0' + octet / unit % 10);
        }
        entry.text[entry.digits] = '.';
    }
    return texts;
}();

char* write_quad(char* to, const std::uint8_t* octets) {
    for (int place = 0; place < 4; ++place) {
        const OctetText& entry = octet_texts[octets[place]];
        std::memcpy(to, entry.text.data(), 4);
        to += entry.digits + 1;
    }
    return to - 1;
}

char* write_group(char* to, unsigned group) {
    constexpr char digits[] = "0123456789abcdef";
    if (group > 0xfff) {
        *to++ = digits[group >> 12];
    }
    if (group > 0xff) {
        *to++ = digits[group >> 8 & 0xfU];
    }
    if (group > 0xf) {
        *to++ = digits[group >> 4 & 0xfU];
    }
    *to++ = digits[group & 0xfU];
    return to;
}

/// The groups that "::" stands for: the longest run of at least two zeros, the first of equal ones.
struct ZeroRun {
    unsigned begin = 8;
    unsigned length = 1;
    unsigned end() const { return begin + length; }
};

ZeroRun longest_zero_run(const std::array<unsigned, 8>& groups) {
    ZeroRun longest;
    for (unsigned begin = 0; begin < groups.size();) {
        unsigned end = begin;
        while (end < groups.size() && groups[end] == 0) {
            ++end;
        }
        if (end - begin > longest.length) {
            longest = {begin, end - begin};
        }
        begin = end + 1;
    }
    return longest;
}

char* write_ipv6(char* to, const std::array<std::uint8_t, 16>& bytes) {
    std::array<unsigned, 8> groups{};
    for (std::size_t place = 0; place < groups.size(); ++place) {
        groups[place] = static_cast<unsigned>(bytes[2 * place]) << 8 | bytes[2 * place + 1];
    }
    const ZeroRun zeros = longest_zero_run(groups);
    // ::1.2.3.4 and ::ffff:1.2.3.4 hold an IPv4 address, and show it.
    const bool holds_quad =
        zeros.begin == 0 && (zeros.length == 6 || (zeros.length == 5 && groups[5] == 0xffff));
    const unsigned end = holds_quad ? 6 : 8;
    for (unsigned place = 0; place < end;) {
        if (place == zeros.begin) {
            *to++ = ':';
            *to++ = ':';
            place = zeros.end();
            continue;
        }
        if (place != 0 && place != zeros.end()) {
            *to++ = ':';
        }
        to = write_group(to, groups[place++]);
    }
    if (holds_quad) {
        if (zeros.length == 5) {
            *to++ = ':';
        }
        to = write_quad(to, &bytes[12]);
    }
    return to;
}

}  // namespace

char* write_address(char* to, const Address& address, Family family) {
    return family == Family::ipv4 ? write_quad(to, address.bytes.data()) : write_ipv6(to, address.bytes);
}

}  // namespace flowkin
