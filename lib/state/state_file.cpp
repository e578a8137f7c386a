// SPDX-License-Identifier: GPL-2.0-or-later
#include "state/state_file.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/write_advice.hpp"
#include "state/bytes.hpp"
#include "state/flow_bytes.hpp"

namespace flowkin {

namespace {

constexpr std::uint64_t magic = 0x4e494b574f4c4600;  // "\0FLOWKIN"
constexpr std::uint32_t version = 1;
constexpr std::size_t longest_path = 4096;
constexpr std::size_t header_bytes_most = 256 + longest_path;

tl::unexpected<Error> broken(const std::string& path, const std::string& why) {
    return fail(Fault::input_output, "state file " + path + ": " + why);
}

std::vector<std::uint8_t> header_bytes(const StateHeader& header) {
    std::vector<std::uint8_t> bytes;
    ByteWriter out(bytes);
    out.put(header.origin.boot_id);
    out.put(header.origin.netns_cookie);
    out.put(header.run);
    out.put(header.sequence);
    out.put(header.uids);
    out.put(header.kernel_drops);
    out.put(std::int64_t{header.heard_until.time_since_epoch().count()});
    out.put(std::uint8_t{header.clean});
    out.put(static_cast<std::uint32_t>(header.log_path.size()));
    for (const char byte : header.log_path) {
        out.put(byte);
    }
    return bytes;
}

bool take_header(ByteReader in, StateHeader& header) {
    header.origin.boot_id = in.take<std::array<std::uint8_t, 16>>();
    header.origin.netns_cookie = in.take<std::uint64_t>();
    header.run = in.take<std::uint64_t>();
    header.sequence = in.take<std::uint64_t>();
    header.uids = in.take<std::uint64_t>();
    header.kernel_drops = in.take<std::uint64_t>();
    header.heard_until = WallTime(nanoseconds(in.take<std::int64_t>()));
    header.clean = in.take<std::uint8_t>() != 0;
    const auto length = in.take<std::uint32_t>();
    if (length > longest_path) {
        return false;
    }
    for (std::uint32_t i = 0; i < length && !in.ran_short(); ++i) {
        header.log_path.push_back(in.take<char>());
    }
    return !in.ran_short() && in.at_end();
}

/// Before each block: how long it is, how many flows are in it, and the checksum over it and all before it.
/// The end mark is a block of no bytes that bears the number of all flows.
struct BlockHead {
    std::uint64_t bytes = 0;
    std::uint64_t flows = 0;
    std::uint64_t chain = 0;
};

std::vector<std::uint8_t> block(const std::vector<std::uint8_t>& payload, std::uint64_t flows,
                                std::uint64_t& chain) {
    chain = checksum(payload, chain ^ flows);
    std::vector<std::uint8_t> bytes;
    bytes.reserve(sizeof(BlockHead) + payload.size());
    ByteWriter(bytes).put(BlockHead{payload.size(), flows, chain});
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

/// Reads blocks, and believes none whose checksum is not right.
class BlockReader {
  public:
    BlockReader(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}

    Result<BlockHead> next(std::vector<std::uint8_t>& payload, std::size_t most) {
        BlockHead head;
        if (std::fread(&head, sizeof head, 1, file_) != 1) {
            return broken(path_, "it is cut off");
        }
        if (head.bytes > most) {
            return broken(path_, "it is altered (a block of " + std::to_string(head.bytes) + " bytes)");
        }
        payload.resize(head.bytes);
        if (head.bytes != 0 && std::fread(payload.data(), head.bytes, 1, file_) != 1) {
            return broken(path_, "it is cut off");
        }
        chain_ = checksum(payload, chain_ ^ head.flows);
        if (chain_ != head.chain) {
            return broken(path_, "it is altered (a checksum is wrong)");
        }
        return head;
    }

  private:
    std::FILE* file_;
    std::string path_;
    std::uint64_t chain_ = 0;
};

std::string writable_by_others(const struct stat& file) {
    if (!S_ISREG(file.st_mode)) {
        return "it is not a regular file";
    }
    if (file.st_uid != ::geteuid() && file.st_uid != 0) {
        return "it belongs to another user";
    }
    if (::geteuid() == 0 && (file.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return "others than root can write it";
    }
    return {};
}

}  // namespace

Result<StateOrigin> read_state_origin(int socket_fd) {
    StateOrigin origin;
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
        std::fopen("/proc/sys/kernel/random/boot_id", "re"), &std::fclose);
    std::array<char, 37> text{};
    if (file == nullptr || std::fread(text.data(), 36, 1, file.get()) != 1) {
        return fail(Fault::input_output, "/proc/sys/kernel/random/boot_id cannot be read");
    }
    std::size_t digits = 0;
    for (const char c : text) {
        const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value >= 0 && digits < 32) {
            std::uint8_t& byte = origin.boot_id[digits / 2];
            byte =
                static_cast<std::uint8_t>(static_cast<unsigned>(byte) << 4U | static_cast<unsigned>(value));
            ++digits;
        }
    }
#ifndef SO_NETNS_COOKIE
    constexpr int SO_NETNS_COOKIE = 71;  // since Linux 5.14; Debian 12's libc headers may not name it
#endif
    socklen_t length = sizeof origin.netns_cookie;
    if (::getsockopt(socket_fd, SOL_SOCKET, SO_NETNS_COOKIE, &origin.netns_cookie, &length) != 0) {
        struct stat netns {};
        if (::stat("/proc/self/ns/net", &netns) != 0) {
            return fail(Fault::input_output, std::string("/proc/self/ns/net: ") + std::strerror(errno));
        }
        origin.netns_cookie = netns.st_ino;
    }
    return origin;
}

bool StateChunk::add(const FlowView& flow) {
    if (bytes_.size() + largest_flow_bytes > largest_bytes) {
        return false;
    }
    ByteWriter out(bytes_);
    put_flow(out, flow);
    ++flows_;
    return true;
}

StateWriter::StateWriter(std::string path, std::string temporary, UniqueFd fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

StateWriter::~StateWriter() {
    if (fd_) {
        ::unlink(temporary_.c_str());
    }
}

Result<StateWriter> StateWriter::create(const std::string& path, const StateHeader& header) {
    const std::string temporary = path + ".new";
    ::unlink(temporary.c_str());
    UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) {
        return broken(temporary, why_not_writable(temporary, errno));
    }
    StateWriter writer(path, temporary, std::move(fd));
    std::vector<std::uint8_t> preface;
    ByteWriter out(preface);
    out.put(magic);
    out.put(std::uint64_t{version});
    if (auto written = writer.write(preface); !written) {
        return tl::unexpected(written.error());
    }
    if (auto written = writer.write(block(header_bytes(header), 0, writer.chain_)); !written) {
        return tl::unexpected(written.error());
    }
    return writer;
}

Result<void> StateWriter::write(const std::vector<std::uint8_t>& bytes) {
    std::span<const std::uint8_t> rest = bytes;
    while (!rest.empty()) {
        const ssize_t written = ::write(fd_.get(), rest.data(), rest.size());
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            return broken(temporary_, std::strerror(errno));
        }
        rest = rest.subspan(static_cast<std::size_t>(written));
    }
    return {};
}

Result<void> StateWriter::append(const StateChunk& chunk) {
    flows_ += chunk.flows();
    return write(block(chunk.bytes(), chunk.flows(), chain_));
}

Result<void> StateWriter::finish() {
    if (auto written = write(block({}, flows_, chain_)); !written) {
        return written;
    }
    if (::fsync(fd_.get()) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
        return broken(path_, std::strerror(errno));
    }
    fd_.reset();
    const std::string folder = std::filesystem::path(path_).parent_path().string();
    const UniqueFd opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (opened) {
        ::fsync(opened.get());
    }
    return {};
}

Result<std::optional<LoadedState>> load_state(const std::string& path,
                                              const std::function<bool(const StateHeader&)>& wanted,
                                              const std::function<void(const FlowRecord&)>& take) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT) {
            return std::optional<LoadedState>{};
        }
        return broken(path, errno == ELOOP ? "it is a symbolic link" : std::strerror(errno));
    }
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(::fdopen(fd, "r"), &std::fclose);
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        return broken(path, std::strerror(errno));
    }
    if (const std::string why = writable_by_others(status); !why.empty()) {
        return broken(path, why);
    }
    std::array<std::uint64_t, 2> preface{};
    if (std::fread(preface.data(), sizeof preface, 1, file.get()) != 1) {
        return broken(path, "it is cut off");
    }
    if (preface[0] != magic) {
        return broken(path, "it is no state file of flowkin's");
    }
    if (preface[1] != version) {
        return broken(path, "it is of version " + std::to_string(preface[1]) + ", and this is version " +
                                std::to_string(version));
    }
    BlockReader blocks(file.get(), path);
    std::vector<std::uint8_t> payload;
    LoadedState loaded;
    if (auto head = blocks.next(payload, header_bytes_most); !head) {
        return tl::unexpected(head.error());
    }
    if (!take_header(ByteReader(payload), loaded.header)) {
        return broken(path, "it is altered (its header)");
    }
    if (!wanted(loaded.header)) {
        return std::optional(loaded);
    }
    FlowRecord record;
    while (true) {
        const auto head = blocks.next(payload, StateChunk::largest_bytes);
        if (!head) {
            return tl::unexpected(head.error());
        }
        if (head->bytes == 0) {
            if (head->flows != loaded.flows) {
                return broken(path, "it is altered (its end mark)");
            }
            return std::optional(loaded);
        }
        ByteReader in(payload);
        for (std::uint64_t i = 0; i < head->flows; ++i) {
            if (!take_flow(in, record)) {
                return broken(path, "it is altered (a flow)");
            }
            take(record);
            ++loaded.flows;
        }
        if (!in.at_end()) {
            return broken(path, "it is altered (bytes after a block's flows)");
        }
    }
}

void set_state_aside(const std::string& path) {
    ::rename(path.c_str(), (path + ".rejected").c_str());
}

}  // namespace flowkin
