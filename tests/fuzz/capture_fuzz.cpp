// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "netlink/capture_file.hpp"

/// The reader of captures takes any file: each ends well or with an error.
namespace {

/// A file in memory that is filled anew for each input.
int memory_file() {
    static const int fd = ::memfd_create("capture", MFD_CLOEXEC);
    return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const int fd = memory_file();
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, bytes, size, 0) != static_cast<ssize_t>(size)) {
        std::abort();
    }
    auto reader = flowkin::CaptureReader::open("/proc/self/fd/" + std::to_string(fd));
    if (!reader) {
        return 0;
    }
    std::size_t read_bytes = 0;
    flowkin::CaptureReader::Packet packet;
    for (auto more = reader->next(packet); more && *more; more = reader->next(packet)) {
        for (const std::uint8_t byte : packet.datagram) {
            read_bytes += byte == 0 ? 0U : 1U;
        }
        if (read_bytes > size) {
            std::abort();
        }
    }
    return 0;
}
