// SPDX-License-Identifier: GPL-2.0-or-later
#include "control_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace flowkin {
namespace {

Fault fault_of(int error) {
    return error == EACCES || error == EPERM ? Fault::permission : Fault::input_output;
}

tl::unexpected<Error> refuse(Fault fault, const std::string& why) {
    return fail(fault, "the control socket: " + why);
}

/// Nobody else may replace the socket's file in it.
std::optional<Error> find_fault_of_folder(const std::string& folder) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) {
        return Error{fault_of(errno), folder + ": " + std::strerror(errno) +
                                          "; make the folder, or name another in [control] socket"};
    }
    if (!S_ISDIR(status.st_mode)) {
        return Error{Fault::input_output, folder + " is no folder; name another in [control] socket"};
    }
    const bool foreign = status.st_uid != 0 && status.st_uid != ::geteuid();
    const bool open_to_others =
        (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0;
    if (foreign || open_to_others) {
        return Error{Fault::permission, "others can write to the folder " + folder +
                                            "; mend it with: chown root " + folder + " && chmod go-w " +
                                            folder};
    }
    return std::nullopt;
}

}  // namespace

std::string control_path(const Config& config) {
    if (!config.control.socket) {
        return {};
    }
    if (!config.control.socket->empty()) {
        return *config.control.socket;
    }
    const char* folder = std::getenv("RUNTIME_DIRECTORY");  // systemd.exec(5); several are joined by colons
    const std::string_view folders = folder == nullptr ? std::string_view() : std::string_view(folder);
    const std::string_view first = folders.substr(0, folders.find(':'));
    return first.empty() ? std::string() : std::string(first) + "/control.sock";
}

Result<ListeningSocket> open_control_socket(const std::string& path) {
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        return refuse(Fault::input_output, path + " is longer than a socket's name may be, " +
                                               std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes");
    }
    const std::string folder = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    if (const auto fault = find_fault_of_folder(folder)) {
        return refuse(fault->fault, fault->text);
    }
    struct stat status {};
    if (::geteuid() != 0 && ::lstat(path.c_str(), &status) == 0 && status.st_uid != ::geteuid()) {
        return refuse(Fault::permission, path + " belongs to user " + std::to_string(status.st_uid) +
                                             "; remove it, or name another in [control] socket");
    }
    auto listening = ListeningSocket::open(path);
    if (!listening) {
        return refuse(listening.error().fault, listening.error().text);
    }
    return listening;
}

bool peer_may_control(int connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    const gid_t ours = ::getegid();
    if (peer.uid == 0 || peer.uid == ::geteuid() || peer.gid == ours) {
        return true;
    }
    // The first call says how much room the supplementary groups take.
    size = 0;
    if (::getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, nullptr, &size) == 0 || errno != ERANGE) {
        return false;
    }
    std::vector<gid_t> groups(size / sizeof(gid_t));
    if (::getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) {
        return false;
    }
    return std::find(groups.begin(), groups.end(), ours) != groups.end();
}

}  // namespace flowkin
