// SPDX-License-Identifier: GPL-2.0-or-later
#include "service.hpp"

#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace flowkin {

Service::Service() : managed_(std::getenv("NOTIFY_SOCKET") != nullptr) {
    std::uint64_t interval = 0;
    if (::sd_watchdog_enabled(0, &interval) > 0) {
        watchdog_interval_ = std::chrono::microseconds(interval);
    }
}

void Service::ready(const std::string& status) {
    ready_ = true;
    reloaded(status);
}

void Service::reloading() const {
    if (!ready_) {
        return;
    }
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto microseconds = std::uint64_t(now.tv_sec) * 1'000'000 + std::uint64_t(now.tv_nsec) / 1000;
    ::sd_notify(0, ("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds)).c_str());
}

void Service::reloaded(const std::string& status) const {
    if (ready_) {
        ::sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
    }
}

void Service::stopping() const {
    ::sd_notify(0, "STOPPING=1");
}
void Service::status(const std::string& status) const {
    ::sd_notify(0, ("STATUS=" + status).c_str());
}
void Service::feed_watchdog() const {
    ::sd_notify(0, "WATCHDOG=1");
}

namespace {
constexpr const char* socket_name = "conntrack";
}

void Service::store_socket(int fd) const {
    ::sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=conntrack\nFDPOLL=0", &fd, 1);
}

void Service::forget_socket() const {
    ::sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=conntrack");
}

UniqueFd Service::take_stored_socket() {
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names);
    UniqueFd taken;
    for (int i = 0; i < count; ++i) {
        UniqueFd fd(SD_LISTEN_FDS_START + i);
        if (std::strcmp(names[i], socket_name) == 0 && !taken) {
            taken = std::move(fd);
        }
        std::free(names[i]);
    }
    std::free(names);
    return taken;
}

}  // namespace flowkin
