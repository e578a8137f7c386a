// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <span>
#include <utility>

#include "pipeline/pipeline.hpp"

/// Logged packets of any bytes, beside flows of any bytes, through the whole way: each line is made within
/// its bound (the encoder asserts it), whoever made the packet. The input is datagrams one behind the other,
/// as each says how long it is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace flowkin;
    Pipeline pipeline(
        {.table = {.capacity = 64, .hash_seed = 0}, .updates = Updates::all},
        std::move(*LineEncoder::create({.run = 1, .host_name = "h", .fields = {}, .label_names = {}})));
    pipeline.packets().name_interfaces([](std::uint32_t index) {
        return index % 2 == 0 ? std::string_view("\xff\x01\"lan") : std::string_view("wan");
    });
    WallTime now{};
    std::span<const std::uint8_t> rest(bytes, size);
    while (!rest.empty()) {
        const std::size_t length = std::clamp<std::size_t>(
            rest.size() < 2 ? 1 : rest[0] + std::size_t{rest[1]} * 256, 1, rest.size());
        pipeline.feed(rest.first(length), now);
        rest = rest.subspan(length);
        now += std::chrono::milliseconds(300);
    }
    pipeline.packets().let_all_go();
    const std::string_view lines = pipeline.batch().bytes();
    if (!lines.empty() && (lines.back() != '\n' || lines.size() > pipeline.batch().lines() * 4095)) {
        std::abort();
    }
    return 0;
}
