// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

namespace flowkin {

/// Why a file cannot be opened for writing, from the errno of the call that failed, and in brackets what mends it.
/// Allocates and looks at the file system: for failures only.
inline std::string why_not_writable(const std::filesystem::path& path, int error) {
    std::error_code ignored;
    const auto folder = path.parent_path();
    const auto real = std::filesystem::weakly_canonical(folder, ignored).string();
    switch (error) {
        case ENOENT: {
            if (std::filesystem::is_symlink(folder, ignored)) {
                const auto target = folder.parent_path() / std::filesystem::read_symlink(folder, ignored);
                return folder.string() + " is a symbolic link to a folder that does not exist (mkdir -p " +
                       target.string() + ")";
            }
            return "the folder " + folder.string() + " does not exist (mkdir -p " + folder.string() + ")";
        }
        case EACCES: {
            const passwd* user = ::getpwuid(::geteuid());
            const std::string name = user != nullptr ? user->pw_name : std::to_string(::geteuid());
            const bool in_the_way = ::access(folder.c_str(), W_OK | X_OK) == 0;
            return "Permission denied (chown " + name + " " + (in_the_way ? path.string() : real) + ")";
        }
        case EROFS:
            return "Read-only file system (in a unit of systemd: ReadWritePaths=" + real + ")";
        default:
            return std::strerror(error);
    }
}

}  // namespace flowkin
