// SPDX-License-Identifier: GPL-2.0-or-later
#include "service.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace flowkin;

namespace {

/// The service manager's end: an abstract socket, so that nothing is left of it.
class Manager {
  public:
    Manager() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        const std::string name = "@flowkin-test-" + std::to_string(::getpid());
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(&address.sun_path[1], &name[1], name.size() - 1);
        const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
        ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    }
    ~Manager() { ::unsetenv("NOTIFY_SOCKET"); }
    Manager(const Manager&) = delete;
    Manager& operator=(const Manager&) = delete;

    /// The next datagram; empty where there is none.
    std::string heard() const {
        std::array<char, 4096> text{};
        const auto length = ::recv(socket_.get(), text.data(), text.size(), 0);
        return length < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(length));
    }

  private:
    UniqueFd socket_;
};

}  // namespace

TEST_CASE("a reload is told from its begin to its end, each in one datagram") {
    const Manager manager;
    Service service;
    service.ready("good");
    CHECK(manager.heard() == "READY=1\nSTATUS=good");
    service.reloading();
    CHECK_THAT(manager.heard(), Catch::Matches("RELOADING=1\nMONOTONIC_USEC=[0-9]+"));
    service.reloaded("better");
    CHECK(manager.heard() == "READY=1\nSTATUS=better");
    CHECK(manager.heard().empty());
}

TEST_CASE("a reload before the service is ready does not make it ready") {
    const Manager manager;
    Service service;
    service.reloading();
    service.reloaded("too early");
    CHECK(manager.heard().empty());
    service.ready("good");
    CHECK(manager.heard() == "READY=1\nSTATUS=good");
}

TEST_CASE("without a service manager nothing is told, and nothing fails") {
    Service service;
    CHECK_FALSE(service.keeps_sockets());
    CHECK_FALSE(service.watchdog_interval());
    service.ready("good");
    service.stopping();
    service.feed_watchdog();
}
