// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "netlink/capture_file.hpp"

/// The recorded datagrams in tests/golden/captures.
namespace flowkin::testing {

/// Looked for above the test's executable, then above the working directory.
inline std::filesystem::path captures_folder() {
    namespace fs = std::filesystem;
    for (const fs::path& start : {fs::read_symlink("/proc/self/exe"), fs::current_path()}) {
        for (fs::path folder = start; folder != folder.root_path(); folder = folder.parent_path()) {
            if (fs::is_directory(folder / "tests/golden/captures")) {
                return folder / "tests/golden/captures";
            }
        }
    }
    throw std::runtime_error("tests/golden/captures not found");
}

inline std::vector<std::filesystem::path> capture_paths() {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(captures_folder())) {
        if (entry.path().extension() == ".pcap") {
            paths.push_back(entry.path());
        }
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

struct CapturedDatagram {
    std::vector<std::uint8_t> bytes;
    WallTime arrival{};
};

inline std::vector<CapturedDatagram> read_capture(const std::filesystem::path& path) {
    auto reader = CaptureReader::open(path);
    if (!reader) {
        throw std::runtime_error(reader.error().text);
    }
    std::vector<CapturedDatagram> datagrams;
    CaptureReader::Packet packet;
    while (true) {
        const auto more = reader->next(packet);
        if (!more) {
            throw std::runtime_error(more.error().text);
        }
        if (!*more) {
            return datagrams;
        }
        datagrams.push_back({{packet.datagram.begin(), packet.datagram.end()}, packet.arrival});
    }
}

}  // namespace flowkin::testing
