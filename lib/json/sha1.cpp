// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/sha1.hpp"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#include <utility>
#endif

namespace flowkin {
namespace {

constexpr std::array<std::uint32_t, 5> initial{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};

constexpr std::uint32_t rotate(std::uint32_t word, int bits) {
    return word << bits | word >> (32 - bits);
}

}  // namespace

Sha1Digest sha1_portable(const Sha1Block& block) {
    std::array<std::uint32_t, 80> words{};
    for (std::size_t t = 0; t < 16; ++t) {
        for (std::size_t byte = 0; byte < 4; ++byte) {
            words[t] = words[t] << 8 | block.bytes[4 * t + byte];
        }
    }
    for (std::size_t t = 16; t < words.size(); ++t) {
        words[t] = rotate(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1);
    }
    auto [a, b, c, d, e] = initial;
    for (std::size_t t = 0; t < words.size(); ++t) {
        const std::uint32_t mixed = t < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                                    : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                                    : t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                             : (b ^ c ^ d) + 0xca62c1d6;
        const std::uint32_t next = rotate(a, 5) + mixed + e + words[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    const std::array<std::uint32_t, 5> sums{a, b, c, d, e};
    Sha1Digest digest{};
    for (std::size_t place = 0; place < digest.size(); ++place) {
        const std::uint32_t word = initial[place / 4] + sums[place / 4];
        digest[place] = static_cast<std::uint8_t>(word >> (24 - 8 * (place % 4)));
    }
    return digest;
}

#if defined(__x86_64__)
namespace {

#define WITH_SHA_INSTRUCTIONS __attribute__((target("sha,sse4.1,ssse3")))

/// The working state as the instructions want it: a to d in one register, a on top; e in the top of another.
struct Registers {
    __m128i abcd;
    __m128i e;
    __m128i words[4];  ///< the last sixteen of the message schedule, four a register
};

/// Rounds 4 * group to 4 * group + 3.
template <int group>
WITH_SHA_INSTRUCTIONS inline void four_rounds(Registers& r) {
    constexpr int now = group % 4;
    if constexpr (group >= 4) {
        r.words[now] = _mm_sha1msg2_epu32(
            _mm_xor_si128(_mm_sha1msg1_epu32(r.words[now], r.words[(now + 1) % 4]), r.words[(now + 2) % 4]),
            r.words[(now + 3) % 4]);
    }
    const __m128i input =
        group == 0 ? _mm_add_epi32(r.e, r.words[now]) : _mm_sha1nexte_epu32(r.e, r.words[now]);
    r.e = r.abcd;
    r.abcd = _mm_sha1rnds4_epu32(r.abcd, input, group / 5);
}

template <int... groups>
WITH_SHA_INSTRUCTIONS inline void all_rounds(Registers& r, std::integer_sequence<int, groups...> /*each*/) {
    (four_rounds<groups>(r), ...);
}

WITH_SHA_INSTRUCTIONS Sha1Digest sha1_by_instructions(const Sha1Block& block) {
    const auto* source = reinterpret_cast<const __m128i*>(block.bytes.data());
    const __m128i reversed = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
    const auto word = [](std::uint32_t value) { return static_cast<int>(value); };
    const __m128i abcd =
        _mm_set_epi32(word(initial[0]), word(initial[1]), word(initial[2]), word(initial[3]));
    const __m128i e = _mm_set_epi32(word(initial[4]), 0, 0, 0);

    Registers r{abcd, e, {}};
    for (int quarter = 0; quarter < 4; ++quarter) {
        r.words[quarter] = _mm_shuffle_epi8(_mm_load_si128(source + quarter), reversed);
    }
    all_rounds(r, std::make_integer_sequence<int, 20>{});
    r.e = _mm_sha1nexte_epu32(r.e, e);
    r.abcd = _mm_add_epi32(r.abcd, abcd);

    Sha1Digest digest{};
    const __m128i front = _mm_shuffle_epi8(r.abcd, reversed);
    std::memcpy(digest.data(), &front, 16);
    const std::uint32_t last = __builtin_bswap32(static_cast<std::uint32_t>(_mm_extract_epi32(r.e, 3)));
    std::memcpy(digest.data() + 16, &last, 4);
    return digest;
}

#undef WITH_SHA_INSTRUCTIONS

// By cpuid, because __builtin_cpu_supports() of g++ 12 does not know "sha".
bool ask_processor() {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    const bool has_sse = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSSE3) != 0 && (c & bit_SSE4_1) != 0;
    return has_sse && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

const bool processor_has_sha = ask_processor();

}  // namespace

bool has_sha_instructions() {
    return processor_has_sha;
}

Sha1Digest sha1(const Sha1Block& block) {
    return processor_has_sha ? sha1_by_instructions(block) : sha1_portable(block);
}
#else
bool has_sha_instructions() {
    return false;
}

Sha1Digest sha1(const Sha1Block& block) {
    return sha1_portable(block);
}
#endif

}  // namespace flowkin
