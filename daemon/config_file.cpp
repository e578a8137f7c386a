// SPDX-License-Identifier: GPL-2.0-or-later
#include "config_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/unique_fd.hpp"

namespace flowkin {
namespace {

constexpr std::size_t file_bytes_limit = std::size_t{1} << 20U;

std::string reason(int error) {
    return std::system_category().message(error);
}

/// What is wrong with the file; empty: nothing.
std::string find_fault(const struct stat& file, const std::string& name) {
    if (!S_ISREG(file.st_mode)) {
        return "not a regular file";
    }
    if (::geteuid() == 0 && file.st_uid != 0) {
        return "belongs to user " + std::to_string(file.st_uid) + "; mend it with: chown root " + name;
    }
    if (::geteuid() == 0 && (file.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return "may be written by others than its owner; mend it with: chmod go-w " + name;
    }
    if (static_cast<std::size_t>(file.st_size) > file_bytes_limit) {
        return "larger than 1MiB";
    }
    return {};
}

}  // namespace

Result<std::optional<std::string>> read_config_file(const std::filesystem::path& file) {
    const auto refuse = [&file](const std::string& why) {
        return fail(Fault::configuration, file.string() + ": " + why);
    };
    // O_NONBLOCK: a FIFO must be refused, not waited for.
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        if (errno == ENOENT) {
            return std::nullopt;
        }
        return refuse(reason(errno));
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) {
        return refuse(reason(errno));
    }
    if (const std::string fault = find_fault(status, file.string()); !fault.empty()) {
        return refuse(fault);
    }
    // The file may grow between fstat and read: one byte more than allowed tells.
    std::string text(file_bytes_limit + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(fd.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return refuse(reason(errno));
        }
        if (got == 0) {
            break;
        }
        size += static_cast<std::size_t>(got);
    }
    if (size > file_bytes_limit) {
        return refuse("larger than 1MiB");
    }
    text.resize(size);
    return text;
}

}  // namespace flowkin
