// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"

namespace flowkin {

/// Writes datagrams as a pcap file of LINKTYPE_NETLINK with nanoseconds, as nlmon gives them and Wireshark
/// reads them: a 16-byte cooked header (protocol family NETLINK_NETFILTER), then the datagram.
class CaptureWriter {
  public:
    static Result<CaptureWriter> create(const std::string& path);
    CaptureWriter(CaptureWriter&&) noexcept;
    CaptureWriter& operator=(CaptureWriter&&) noexcept;
    ~CaptureWriter();

    /// False where it could not be written (a full disk): the file ends with the last whole packet, and no
    /// further packet is written.
    bool write(std::span<const std::uint8_t> datagram, WallTime arrival);
    bool flush();

  private:
    struct File;
    explicit CaptureWriter(std::unique_ptr<File> file);
    std::unique_ptr<File> file_;
};

/// Reads such files: ours, and what tcpdump wrote on an nlmon device with foreign traffic in it.
class CaptureReader {
  public:
    struct Packet {
        std::span<const std::uint8_t> datagram;  ///< good until the next call
        WallTime arrival{};
    };

    /// Not a pcap file, or not of LINKTYPE_NETLINK: Fault::input_output, one line that names the file.
    static Result<CaptureReader> open(const std::string& path);
    CaptureReader(CaptureReader&&) noexcept;
    CaptureReader& operator=(CaptureReader&&) noexcept;
    ~CaptureReader();

    /// The next datagram of NETLINK_NETFILTER; others are passed over. False at the end of the file. A file
    /// that is cut off gives all its whole packets and then an error that names the place.
    Result<bool> next(Packet& packet);

  private:
    struct File;
    explicit CaptureReader(std::unique_ptr<File> file);
    std::unique_ptr<File> file_;
};

}  // namespace flowkin
