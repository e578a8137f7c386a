// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/capture_file.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include "support/captures.hpp"

namespace flowkin::testing {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

/// A folder that ends with the test.
class Folder {
  public:
    Folder() {
        std::string name = (fs::temp_directory_path() / "flowkin.XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    fs::path operator/(const char* name) const { return path_ / name; }

  private:
    fs::path path_;
};

Bytes file_bytes(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const fs::path& path, const Bytes& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

std::string open_error(const fs::path& path) {
    const auto opened = CaptureReader::open(path);
    REQUIRE(!opened);
    CHECK(opened.error().fault == Fault::input_output);
    CHECK(opened.error().text.find(path.string()) == 0);
    CHECK(opened.error().text.find('\n') == std::string::npos);
    return opened.error().text;
}

/// Counts the packets; empty text where the file ends well.
struct ReadThrough {
    std::size_t packets = 0;
    std::string error;
};
ReadThrough read_through(const fs::path& path) {
    auto reader = CaptureReader::open(path);
    REQUIRE(reader);
    ReadThrough through;
    CaptureReader::Packet packet;
    while (true) {
        const auto more = reader->next(packet);
        if (!more) {
            through.error = more.error().text;
        }
        if (!more || !*more) {
            return through;
        }
        ++through.packets;
    }
}

TEST_CASE("a capture that is read and written again is the same file") {
    const Folder folder;
    for (const auto& path : capture_paths()) {
        {
            auto writer = CaptureWriter::create(folder / "copy.pcap");
            REQUIRE(writer);
            for (const CapturedDatagram& datagram : read_capture(path)) {
                REQUIRE(writer->write(datagram.bytes, datagram.arrival));
            }
        }
        CHECK(file_bytes(folder / "copy.pcap") == file_bytes(path));
    }
}

TEST_CASE("arrivals keep their nanoseconds") {
    const Folder folder;
    const Bytes datagram(20, 7);
    const WallTime arrival{nanoseconds(1'795'410'000'123'456'789)};
    {
        auto writer = CaptureWriter::create(folder / "one.pcap");
        REQUIRE(writer);
        REQUIRE(writer->write(datagram, arrival));
    }
    const auto read = read_capture(folder / "one.pcap");
    REQUIRE(read.size() == 1);
    CHECK(read[0].arrival == arrival);
    CHECK(read[0].bytes == datagram);
}

TEST_CASE("what was flushed is in the file while the writer lives") {
    const Folder folder;
    auto writer = CaptureWriter::create(folder / "live.pcap");
    REQUIRE(writer);
    REQUIRE(writer->write(Bytes(40), WallTime{}));
    REQUIRE(writer->flush());
    CHECK(read_through(folder / "live.pcap").packets == 1);
}

TEST_CASE("a capture of microseconds is read too") {
    const Folder folder;
    Bytes bytes = file_bytes(captures_folder() / "udp4_acct.pcap");
    const std::uint32_t microsecond_magic = 0xa1b2c3d4;
    std::memcpy(bytes.data(), &microsecond_magic, sizeof microsecond_magic);
    const std::uint32_t microseconds = 123'456;
    std::memcpy(&bytes[24 + 4], &microseconds, sizeof microseconds);
    write_file(folder / "micro.pcap", bytes);
    auto reader = CaptureReader::open(folder / "micro.pcap");
    REQUIRE(reader);
    CaptureReader::Packet packet;
    REQUIRE(*reader->next(packet));
    CHECK((packet.arrival.time_since_epoch() % seconds(1)).count() == 123'456'000);
}

TEST_CASE("foreign netlink traffic in a capture is passed over") {
    const Folder folder;
    Bytes bytes = file_bytes(captures_folder() / "udp4_acct.pcap");
    bytes[24 + 16 + 15] = 0;  // the first packet's family becomes NETLINK_ROUTE
    write_file(folder / "mixed.pcap", bytes);
    const auto all = read_capture(captures_folder() / "udp4_acct.pcap");
    const auto ours = read_capture(folder / "mixed.pcap");
    REQUIRE(ours.size() == all.size() - 1);
    CHECK(ours[0].bytes == all[1].bytes);
}

TEST_CASE("a capture that is cut off gives its whole packets, then an error that names the place") {
    const Folder folder;
    fs::copy_file(captures_folder() / "udp4_acct.pcap", folder / "cut.pcap");
    const std::size_t all = read_through(captures_folder() / "udp4_acct.pcap").packets;
    std::size_t clean_ends = 0;
    for (auto size = fs::file_size(folder / "cut.pcap") - 1; size >= 24; --size) {
        fs::resize_file(folder / "cut.pcap", size);
        const ReadThrough through = read_through(folder / "cut.pcap");
        CHECK(through.packets < all);
        if (through.error.empty()) {
            ++clean_ends;  // between two packets
        } else {
            CHECK(through.error.find((folder / "cut.pcap").string() + ": broken after packet " +
                                     std::to_string(through.packets)) == 0);
        }
    }
    CHECK(clean_ends == all);
}

TEST_CASE("what is no netlink capture is refused in one line that names the file") {
    const Folder folder;
    write_file(folder / "empty", {});
    open_error(folder / "empty");
    write_file(folder / "text", Bytes(200, 'x'));
    open_error(folder / "text");
    open_error(folder / "absent");
    CHECK(open_error(folder / ".").find("folder") != std::string::npos);

    Bytes bytes = file_bytes(captures_folder() / "udp4_acct.pcap");
    bytes[20] = 1;
    write_file(folder / "ethernet.pcap", bytes);
    CHECK(open_error(folder / "ethernet.pcap").find("EN10MB") != std::string::npos);

    Bytes swapped = file_bytes(captures_folder() / "udp4_acct.pcap");
    swapped.resize(24);
    for (const std::size_t word : {0U, 8U, 12U, 16U, 20U}) {
        std::reverse(swapped.begin() + static_cast<std::ptrdiff_t>(word),
                     swapped.begin() + static_cast<std::ptrdiff_t>(word + 4));
    }
    std::swap(swapped[4], swapped[5]);
    std::swap(swapped[6], swapped[7]);
    write_file(folder / "swapped.pcap", swapped);
    CHECK(open_error(folder / "swapped.pcap").find("byte order") != std::string::npos);
}

TEST_CASE("a capture is not written through a link or into a folder") {
    const Folder folder;
    fs::create_symlink(folder / "target", folder / "link");
    const auto through_link = CaptureWriter::create(folder / "link");
    REQUIRE(!through_link);
    CHECK(through_link.error().text.find("symbolic link") != std::string::npos);
    CHECK(!fs::exists(folder / "target"));
    const auto into_folder = CaptureWriter::create(folder / ".");
    REQUIRE(!into_folder);
    CHECK(into_folder.error().fault == Fault::input_output);
}

TEST_CASE("a capture that finds no more room ends with its last whole packet and takes no more") {
    const Folder folder;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    rlimit full = before;
    full.rlim_cur = 100'001;
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    auto writer = CaptureWriter::create(folder / "full.pcap");
    REQUIRE(writer);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
    std::size_t accepted = 0;
    while (accepted < 10'000 && writer->write(Bytes(200), WallTime{})) {
        ++accepted;
    }
    const bool flushed = writer->flush();
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    std::signal(SIGXFSZ, handler);
    CHECK(!flushed);
    CHECK(accepted < 10'000);
    CHECK(!writer->write(Bytes(200), WallTime{}));
    CHECK(!writer->flush());

    const ReadThrough through = read_through(folder / "full.pcap");
    CHECK(through.error.empty());
    CHECK(through.packets == (100'001 - 24) / (16 + 16 + 200));
}

}  // namespace
}  // namespace flowkin::testing
