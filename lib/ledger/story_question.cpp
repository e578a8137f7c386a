// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger/story_question.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace flowkin {

namespace {

/// As the log writes it (RFC 5952); none where it is no address.
std::optional<std::string> canonical_address(const std::string& text) {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    std::array<char, INET6_ADDRSTRLEN> written{};
    for (const int family : {AF_INET, AF_INET6}) {
        if (::inet_pton(family, text.c_str(), bytes.data()) == 1 &&
            ::inet_ntop(family, bytes.data(), written.data(), written.size()) != nullptr) {
            return std::string(written.data());
        }
    }
    return std::nullopt;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
    Number value = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, fault] = std::from_chars(text.data(), end, value, base);
    return !text.empty() && fault == std::errc() && stopped == end ? std::optional(value) : std::nullopt;
}

/// "10.1.0.2", "10.1.0.2:80", "fd01::2", "[fd01::2]", "[fd01::2]:80"
std::optional<AskedEnd> parse_end(std::string_view text) {
    std::string_view address = text;
    std::string_view port;
    bool has_port = false;
    if (text.starts_with('[')) {
        const std::size_t bracket = text.find(']');
        if (bracket == std::string_view::npos) {
            return std::nullopt;
        }
        address = text.substr(1, bracket - 1);
        const std::string_view rest = text.substr(bracket + 1);
        if (!rest.empty() && rest.front() != ':') {
            return std::nullopt;
        }
        has_port = !rest.empty();
        port = rest.substr(has_port ? 1 : 0);
    } else if (std::count(text.begin(), text.end(), ':') == 1) {
        address = text.substr(0, text.find(':'));
        port = text.substr(text.find(':') + 1);
        has_port = true;
    }
    const auto ip = canonical_address(std::string(address));
    if (!ip) {
        return std::nullopt;
    }
    AskedEnd end{*ip, std::nullopt};
    if (has_port) {
        end.port = parse_number<std::uint16_t>(port);
        if (!end.port) {
            return std::nullopt;
        }
    }
    return end;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(' ');
    return begin == std::string_view::npos ? std::string_view()
                                           : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

/// One end, or two with one of "→", "->", "-" or a blank between them.
std::optional<AskedEnds> parse_ends(std::string_view text) {
    for (const std::string_view between : {"→", "->", "-", " "}) {
        const std::size_t at = text.find(between);
        if (at == std::string_view::npos) {
            continue;
        }
        const auto end = parse_end(trimmed(text.substr(0, at)));
        const auto peer = parse_end(trimmed(text.substr(at + between.size())));
        return end && peer ? std::optional(AskedEnds{*end, peer}) : std::nullopt;
    }
    const auto end = parse_end(text);
    return end ? std::optional(AskedEnds{*end, std::nullopt}) : std::nullopt;
}

std::optional<Uid> parse_any_case_uid(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char byte) {
        return byte >= 'A' && byte <= 'F' ? static_cast<char>(byte + 32) : byte;
    });
    return parse_uid(lower);
}

bool is_community_id(std::string_view text) {
    constexpr std::size_t length = 30;  // "1:", and twenty bytes in base64
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return text.size() == length && text.starts_with("1:") && text.ends_with('=') &&
           text.find_first_not_of(alphabet, 2) == length - 1;
}

std::optional<std::uint32_t> parse_kernel_id(std::string_view text) {
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    return hexadecimal ? parse_number<std::uint32_t>(text.substr(2), 16) : parse_number<std::uint32_t>(text);
}

std::string hex16(std::uint64_t value) {
    std::string text(16, '0');
    for (std::size_t i = text.size(); value != 0; value >>= 4U) {
        text[--i] = "0123456789abcdef"[value & 0xfU];
    }
    return text;
}

void add_needles(const AskedEnd& end, std::vector<std::string>& needles) {
    needles.push_back(end.ip);
    if (end.port) {
        needles.push_back(std::to_string(*end.port));
    }
}

/// Some writers of JSON put a backslash before a slash: the longest piece without one is looked for.
std::string longest_piece(std::string_view text) {
    std::string_view longest;
    while (!text.empty()) {
        const std::string_view piece = text.substr(0, text.find('/'));
        longest = piece.size() > longest.size() ? piece : longest;
        text.remove_prefix(std::min(text.size(), piece.size() + 1));
    }
    return std::string(longest);
}

}  // namespace

std::string StoryQuestion::text() const {
    return at.empty() ? what : what + " at " + at;
}

Result<StoryQuestion> parse_story_question(std::string_view what, std::optional<std::string_view> at) {
    StoryQuestion question;
    question.what = what;
    const std::string_view subject = trimmed(what);
    if (const auto uid = parse_any_case_uid(subject)) {
        question.subject = *uid;
    } else if (is_community_id(subject)) {
        question.subject = AskedCommunityId{std::string(subject)};
    } else if (const auto id = parse_kernel_id(subject)) {
        question.subject = AskedKernelId{*id};
    } else if (const auto ends = parse_ends(subject)) {
        question.subject = *ends;
    } else {
        return fail(
            Fault::usage,
            "--story " + question.what +
                ": not a uid, a CTA_ID, a Community ID, or an address with or without a port and a peer");
    }
    if (at) {
        question.at = *at;
        question.time = parse_asked_time(trimmed(*at));
        if (!question.time) {
            return fail(Fault::usage,
                        "--at " + question.at +
                            ": not a time as 09:16, 09:16:05.25, 2026-11-23T09:16:05Z or 2026-11-23");
        }
    }
    return question;
}

LineSieve::LineSieve(const StoryQuestion& question) {
    if (const auto* uid = std::get_if<Uid>(&question.subject)) {
        needles_.push_back(hex16(uid->run) + hex16(uid->counter));
    } else if (const auto* id = std::get_if<AskedKernelId>(&question.subject)) {
        needles_.push_back(std::to_string(id->id));
    } else if (const auto* community = std::get_if<AskedCommunityId>(&question.subject)) {
        needles_.push_back(longest_piece(community->text));
    } else if (const auto* ends = std::get_if<AskedEnds>(&question.subject)) {
        add_needles(ends->end, needles_);
        if (ends->peer) {
            add_needles(*ends->peer, needles_);
        }
        // Five digits of a port are rarer than a gateway's own address; "21" stands in every line.
        const auto rarity = [](const std::string& needle) {
            const bool port = needle.find_first_of(".:") == std::string::npos;
            return port && needle.size() < 4 ? 2 : port ? 0 : 1;
        };
        std::stable_sort(needles_.begin(), needles_.end(),
                         [&](const std::string& a, const std::string& b) { return rarity(a) < rarity(b); });
    }
}

bool LineSieve::passes(std::string_view line) const {
    return std::all_of(needles_.begin(), needles_.end(), [line](const std::string& needle) {
        return line.size() >= needle.size() &&
               ::memmem(line.data(), line.size(), needle.data(), needle.size()) != nullptr;
    });
}

}  // namespace flowkin
