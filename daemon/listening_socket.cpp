// SPDX-License-Identifier: GPL-2.0-or-later
#include "listening_socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace flowkin {
namespace {

constexpr mode_t socket_mode = 0660;
constexpr int waiting_connections = 16;

tl::unexpected<Error> refuse(const ListenAddress& address, const std::string& why) {
    return fail(Fault::input_output, "cannot listen on " + listen_text(address) + ": " + why);
}

tl::unexpected<Error> refuse_errno(const ListenAddress& address, int error) {
    std::string why = std::strerror(error);
    if (error == EAFNOSUPPORT) {
        why += " (in a systemd unit, RestrictAddressFamilies= must name it)";
    }
    return refuse(address, why);
}

union AnySocketAddress {
    sockaddr any;
    sockaddr_un local;
    sockaddr_in ipv4;
    sockaddr_in6 ipv6;
};

struct BindAddress {
    AnySocketAddress address{};
    socklen_t bytes = 0;
};

BindAddress bind_address(const ListenAddress& address) {
    BindAddress result;
    if (const auto* path = std::get_if<std::string>(&address)) {
        result.address.local = {};
        result.address.local.sun_family = AF_UNIX;
        std::copy(path->begin(), path->end(), std::begin(result.address.local.sun_path));
        result.bytes = sizeof result.address.local;
        return result;
    }
    const auto& at = std::get<LoopbackPort>(address);
    if (at.ipv6) {
        result.address.ipv6 = {};
        result.address.ipv6.sin6_family = AF_INET6;
        result.address.ipv6.sin6_port = htons(at.port);
        result.address.ipv6.sin6_addr = in6addr_loopback;
        result.bytes = sizeof result.address.ipv6;
    } else {
        result.address.ipv4 = {};
        result.address.ipv4.sin_family = AF_INET;
        result.address.ipv4.sin_port = htons(at.port);
        result.address.ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        result.bytes = sizeof result.address.ipv4;
    }
    return result;
}

/// Makes room for a new socket file where an old one is dead. Empty: there is room; else why there is none.
std::string clear_path(const std::string& path, const BindAddress& at) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        return {};  // nothing there, or bind() says what is wrong
    }
    if (!S_ISSOCK(status.st_mode)) {
        return "there is something else; move it away";
    }
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(probe.get(), &at.address.any, at.bytes) == 0 || errno != ECONNREFUSED) {
        return "another program listens there";
    }
    return ::unlink(path.c_str()) == 0 ? std::string() : std::strerror(errno);
}

}  // namespace

Result<ListeningSocket> ListeningSocket::open(const ListenAddress& address) {
    const BindAddress at = bind_address(address);
    const int family = at.address.any.sa_family;
    const auto* const path = std::get_if<std::string>(&address);
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return refuse_errno(address, errno);
    }
    if (path != nullptr) {
        if (const std::string why = clear_path(*path, at); !why.empty()) {
            return refuse(address, why);
        }
        ::fchmod(fd.get(), socket_mode);  // the file is born with this, less the umask: never with more
    } else {
        const int on = 1;
        ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (::bind(fd.get(), &at.address.any, at.bytes) != 0) {
        return refuse_errno(address, errno);
    }
    ListeningSocket listening(std::move(fd), family);
    if (path != nullptr) {
        struct stat status {};
        if (::chmod(path->c_str(), socket_mode) != 0 || ::lstat(path->c_str(), &status) != 0) {
            return refuse_errno(address, errno);
        }
        listening.file_ = {*path, status.st_dev, status.st_ino};
    }
    if (::listen(listening.fd(), waiting_connections) != 0) {
        return refuse_errno(address, errno);
    }
    return listening;
}

ListeningSocket::~ListeningSocket() {
    struct stat status {};
    if (!file_.path.empty() && ::lstat(file_.path.c_str(), &status) == 0 && status.st_dev == file_.device &&
        status.st_ino == file_.inode) {
        ::unlink(file_.path.c_str());
    }
}

}  // namespace flowkin
