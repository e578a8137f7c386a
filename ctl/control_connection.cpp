// SPDX-License-Identifier: GPL-2.0-or-later
#include "control_connection.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace flowkin {
namespace {

constexpr time_t connect_limit_s = 30;

tl::unexpected<Error> refuse(const std::string& path, int error) {
    if (error == ENOENT || error == ECONNREFUSED) {
        return fail(Fault::input_output,
                    "no flowkin listens at " + path + "; is it running, and is [control] socket that path?");
    }
    if (error == EACCES || error == EPERM) {
        return fail(Fault::permission, path + ": " + std::strerror(error) +
                                           "; only root and members of flowkin's group may control it");
    }
    return fail(Fault::input_output, path + ": " + std::strerror(error));
}

}  // namespace

Result<ControlConnection> ControlConnection::open(const std::string& path) {
    sockaddr_un address{};
    if (path.size() >= sizeof address.sun_path) {
        return refuse(path, ENAMETOOLONG);
    }
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), static_cast<char*>(address.sun_path));
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // A flowkin that hangs accepts nobody, and the line before it may be full.
    const timeval limit{.tv_sec = connect_limit_s, .tv_usec = 0};
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return refuse(path, errno);
    }
    return ControlConnection(std::move(fd), path);
}

Result<void> ControlConnection::send(std::string_view line) {
    while (!line.empty()) {
        const ssize_t sent = ::send(fd_.get(), line.data(), line.size(), MSG_NOSIGNAL);
        // It may have said why before it hung up: receive() tells.
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return {};
        }
        if (sent < 0 && errno != EINTR) {
            return refuse(path_, errno);
        }
        line.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
    }
    return {};
}

Result<std::string> ControlConnection::receive(std::chrono::seconds patience) {
    while (true) {
        if (const std::size_t end = received_.find('\n', taken_); end != std::string::npos) {
            std::string line = received_.substr(taken_, end - taken_);
            taken_ = end + 1;
            return line;
        }
        received_.erase(0, std::exchange(taken_, 0));
        pollfd waiting{.fd = fd_.get(), .events = POLLIN, .revents = 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(patience).count()));
        if (ready == 0) {
            return fail(Fault::input_output, "flowkin at " + path_ + " has not answered for " +
                                                 std::to_string(patience.count()) + " s");
        }
        std::array<char, 65'536> bytes;
        const ssize_t got = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (got <= 0) {
            return fail(Fault::input_output, "flowkin at " + path_ + " hung up before it had answered");
        }
        received_.append(bytes.data(), static_cast<std::size_t>(got));
    }
}

}  // namespace flowkin
