// SPDX-License-Identifier: GPL-2.0-or-later
//
// A state file made by hostile hands: read to its end or refused, whatever its bytes are; and a flow that was taken from
// one is written and taken again the same.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "state/flow_bytes.hpp"
#include "state/state_file.hpp"

using namespace flowkin;

namespace {

FlowView view(const FlowRecord& record) {
    return {.flow = &record.flow,
            .reply = record.reply ? &*record.reply : nullptr,
            .lineage = record.lineage ? &*record.lineage : nullptr,
            .tags = record.tags ? &*record.tags : nullptr,
            .marks = record.marks ? &*record.marks : nullptr};
}

std::vector<std::uint8_t> bytes_of(const FlowRecord& record) {
    std::vector<std::uint8_t> bytes;
    ByteWriter out(bytes);
    put_flow(out, view(record));
    return bytes;
}

/// The flows of a block, without the checksums that would keep most inputs out.
void read_flows(std::span<const std::uint8_t> bytes) {
    ByteReader in(bytes);
    FlowRecord record;
    while (!in.at_end() && take_flow(in, record)) {
        const std::vector<std::uint8_t> once = bytes_of(record);
        ByteReader again_in(once);
        FlowRecord again;
        if (!take_flow(again_in, again) || bytes_of(again) != once) {
            std::abort();
        }
    }
}

void read_file(std::span<const std::uint8_t> bytes) {
    static const std::string path = "/tmp/flowkin-state-fuzz-" + std::to_string(::getpid());
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) {
        std::abort();
    }
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
    (void)load_state(
        path, [](const StateHeader&) { return true; }, [](const FlowRecord&) {});
    ::unlink(path.c_str());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::span<const std::uint8_t> rest(bytes + 1, size - 1);
    if ((bytes[0] & 1U) != 0) {
        read_flows(rest);
    } else {
        read_file(rest);
    }
    return 0;
}
