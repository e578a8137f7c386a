// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/capture_file.hpp"

#include <fcntl.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <pcap/pcap.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <vector>

#include "base/unique_fd.hpp"
#include "netlink/attributes.hpp"

namespace flowkin {
namespace {

constexpr std::uint32_t snapshot_bytes = 262'144;
constexpr std::uint32_t nanosecond_magic = 0xa1b23c4d;
constexpr std::size_t cooked_bytes = 16;

/// What stands before a packet in the file: when, how much of it is there, how long it was.
struct PacketHeader {
    std::uint32_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    std::uint32_t captured_bytes = 0;
    std::uint32_t original_bytes = 0;
};

struct FileHeader {
    std::uint32_t magic = nanosecond_magic;
    std::uint16_t major = 2;
    std::uint16_t minor = 4;
    std::uint32_t zone = 0;
    std::uint32_t accuracy = 0;
    std::uint32_t snapshot = snapshot_bytes;
    std::uint32_t link_type = DLT_NETLINK;
};

/// LINKTYPE_NETLINK's own header, in network order: packet type, ARPHRD_NETLINK, ten unused bytes, the
/// family.
constexpr std::array<std::uint8_t, cooked_bytes> cooked_header = {
    0, 7 /* PACKET_KERNEL */, ARPHRD_NETLINK >> 8, ARPHRD_NETLINK & 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, NETLINK_NETFILTER};

tl::unexpected<Error> fail_by_errno(const std::string& path, const std::string& doing) {
    const int code = errno;
    const Fault fault = code == EPERM || code == EACCES ? Fault::permission : Fault::input_output;
    return fail(fault, path + ": " + doing + ": " + std::generic_category().message(code));
}

template <class T>
void append(std::vector<std::uint8_t>& bytes, const T& value) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(&value);
    bytes.insert(bytes.end(), first, first + sizeof value);
}

/// How many of `bytes` are whole packets.
std::size_t whole_packets(std::span<const std::uint8_t> bytes) {
    std::size_t whole = 0;
    while (bytes.size() - whole >= sizeof(PacketHeader)) {
        PacketHeader header;
        std::memcpy(&header, bytes.data() + whole, sizeof header);
        if (header.captured_bytes > bytes.size() - whole - sizeof header) {
            break;
        }
        whole += sizeof header + header.captured_bytes;
    }
    return whole;
}

}  // namespace

/// Packets gather in `pending` and go to the file together, so that a write that fails is known before the
/// packets behind it are taken.
struct CaptureWriter::File {
    static constexpr std::size_t pending_bytes = 65'536;

    UniqueFd fd;
    std::vector<std::uint8_t> pending;
    off_t written_bytes = 0;  ///< up to here the file holds whole packets
    bool failed = false;

    /// Writes what is pending; where that fails the file is cut back to its last whole packet.
    bool flush() {
        std::span<const std::uint8_t> rest = pending;
        while (!failed && !rest.empty()) {
            const ssize_t count = ::write(fd.get(), rest.data(), rest.size());
            if (count > 0) {
                rest = rest.subspan(static_cast<std::size_t>(count));
            } else if (count == 0 || errno != EINTR) {
                failed = true;
            }
        }
        const auto written = std::span<const std::uint8_t>(pending).first(pending.size() - rest.size());
        const std::size_t whole = failed ? whole_packets(written) : written.size();
        written_bytes += static_cast<off_t>(whole);
        if (whole < written.size() && ::ftruncate(fd.get(), written_bytes) != 0) {
            // A pipe cannot be cut: who reads it sees where it ends.
        }
        pending.clear();
        return !failed;
    }
};

CaptureWriter::CaptureWriter(std::unique_ptr<File> file) : file_(std::move(file)) {}
CaptureWriter::CaptureWriter(CaptureWriter&&) noexcept = default;
CaptureWriter& CaptureWriter::operator=(CaptureWriter&& other) noexcept {
    if (this != &other) {
        flush();
        file_ = std::move(other.file_);
    }
    return *this;
}
CaptureWriter::~CaptureWriter() {
    flush();
}

Result<CaptureWriter> CaptureWriter::create(const std::string& path) {
    auto file = std::make_unique<File>();
    file->fd.reset(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640));
    if (!file->fd) {
        if (errno == ELOOP) {
            return fail(Fault::input_output, path + ": is a symbolic link, which flowkin does not follow");
        }
        return fail_by_errno(path, "cannot be written");
    }
    file->pending.reserve(File::pending_bytes + snapshot_bytes);
    append(file->pending, FileHeader{});
    const auto header_bytes = static_cast<ssize_t>(file->pending.size());
    if (::write(file->fd.get(), file->pending.data(), file->pending.size()) != header_bytes) {
        return fail_by_errno(path, "cannot be written");
    }
    file->written_bytes = header_bytes;
    file->pending.clear();
    return CaptureWriter(std::move(file));
}

bool CaptureWriter::write(std::span<const std::uint8_t> datagram, WallTime arrival) {
    if (file_->failed) {
        return false;
    }
    const auto second = std::chrono::floor<seconds>(arrival);
    const auto original_bytes = static_cast<std::uint32_t>(cooked_bytes + datagram.size());
    const auto captured =
        datagram.first(std::min<std::size_t>(datagram.size(), snapshot_bytes - cooked_bytes));
    append(file_->pending,
           PacketHeader{static_cast<std::uint32_t>(second.time_since_epoch().count()),
                        static_cast<std::uint32_t>((arrival - second).count()),
                        static_cast<std::uint32_t>(cooked_bytes + captured.size()), original_bytes});
    append(file_->pending, cooked_header);
    file_->pending.insert(file_->pending.end(), captured.begin(), captured.end());
    return file_->pending.size() < File::pending_bytes || file_->flush();
}

bool CaptureWriter::flush() {
    return !file_ || file_->flush();
}

struct CaptureReader::File {
    struct Closer {
        void operator()(pcap_t* handle) const { pcap_close(handle); }
        void operator()(std::FILE* stream) const { std::fclose(stream); }
    };
    std::string path;
    std::unique_ptr<pcap_t, Closer> capture;
    std::uint64_t packets = 0;
};

CaptureReader::CaptureReader(std::unique_ptr<File> file) : file_(std::move(file)) {}
CaptureReader::CaptureReader(CaptureReader&&) noexcept = default;
CaptureReader& CaptureReader::operator=(CaptureReader&&) noexcept = default;
CaptureReader::~CaptureReader() = default;

Result<CaptureReader> CaptureReader::open(const std::string& path) {
    std::unique_ptr<std::FILE, File::Closer> stream(std::fopen(path.c_str(), "rbe"));
    if (!stream) {
        return fail_by_errno(path, "cannot be read");
    }
    struct stat status {};
    if (::fstat(::fileno(stream.get()), &status) == 0 && S_ISDIR(status.st_mode)) {
        return fail(Fault::input_output, path + ": is a folder, not a capture");
    }

    auto file = std::make_unique<File>();
    file->path = path;
    std::array<char, PCAP_ERRBUF_SIZE> text{};
    file->capture.reset(
        pcap_fopen_offline_with_tstamp_precision(stream.get(), PCAP_TSTAMP_PRECISION_NANO, text.data()));
    if (!file->capture) {
        return fail(Fault::input_output, path + ": not a capture that can be read: " + text.data());
    }
    static_cast<void>(stream.release());  // the capture closes it

    const int link_type = pcap_datalink(file->capture.get());
    if (link_type != DLT_NETLINK) {
        const char* link_name = pcap_datalink_val_to_name(link_type);
        return fail(Fault::input_output, path +
                                             ": not a capture of netlink (link type NETLINK, 253) but of " +
                                             (link_name != nullptr ? link_name : "another link type") + " (" +
                                             std::to_string(link_type) + ")");
    }
    if (pcap_is_swapped(file->capture.get()) != 0) {
        return fail(Fault::input_output, path + ": captured on a machine of the other byte order");
    }
    return CaptureReader(std::move(file));
}

Result<bool> CaptureReader::next(Packet& packet) {
    while (true) {
        pcap_pkthdr* header = nullptr;
        const std::uint8_t* bytes = nullptr;
        const int got = pcap_next_ex(file_->capture.get(), &header, &bytes);
        if (got == PCAP_ERROR_BREAK) {
            return false;
        }
        if (got != 1) {
            return fail(Fault::input_output, file_->path + ": broken after packet " +
                                                 std::to_string(file_->packets) + ": " +
                                                 pcap_geterr(file_->capture.get()));
        }
        ++file_->packets;

        // Later than that nanoseconds since 1970 do not fit.
        constexpr std::int64_t last_second = 9'223'372'035;
        if (header->ts.tv_sec < 0 || header->ts.tv_sec > last_second || header->ts.tv_usec < 0 ||
            header->ts.tv_usec > 999'999'999) {
            return fail(Fault::input_output, file_->path + ": packet " + std::to_string(file_->packets) +
                                                 " has an impossible time");
        }
        const wire::Bytes captured(bytes, header->caplen);
        if (captured.size() < cooked_bytes ||
            wire::load_network<std::uint16_t>(&captured[14]) != NETLINK_NETFILTER) {
            continue;
        }
        packet.datagram = captured.subspan(cooked_bytes);
        // The precision asked for makes tv_usec nanoseconds.
        packet.arrival = WallTime(seconds(header->ts.tv_sec) + nanoseconds(header->ts.tv_usec));
        return true;
    }
}

}  // namespace flowkin
