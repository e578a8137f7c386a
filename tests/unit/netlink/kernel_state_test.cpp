// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/kernel_state.hpp"

#include <sys/utsname.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "support/network_namespace.hpp"

namespace flowkin::testing {
namespace {

void run(const std::string& command) {
    CAPTURE(command);
    REQUIRE(std::system((command + " >/dev/null").c_str()) == 0);
}

Tracking tracking_with(const std::string& command) {
    Tracking tracking = Tracking::unknown;
    in_new_network_namespace([&] {
        run(command);
        tracking = read_kernel_state().tracking;
    });
    return tracking;
}

TEST_CASE("the kernel's settings are those of the thread's own network namespace") {
    in_new_network_namespace([] {
        for (const char* value : {"1", "0"}) {
            std::ofstream("/proc/sys/net/netfilter/nf_conntrack_acct") << value;
            std::ofstream("/proc/sys/net/netfilter/nf_conntrack_timestamp") << value;
            const KernelState state = read_kernel_state();
            CHECK(state.acct == static_cast<std::uint32_t>(std::atoi(value)));
            CHECK(state.timestamp == state.acct);
            CHECK(state.flows == 0U);
            CHECK(state.events);
            CHECK(state.flows_max.value_or(0) > 0);
        }
        utsname name{};
        REQUIRE(::uname(&name) == 0);
        CHECK(read_kernel_state().release == name.release);
    });
}

TEST_CASE("without rules nothing is tracked") {
    CHECK(tracking_with("true") == Tracking::no);
}

TEST_CASE("rules that do not ask for conntrack track nothing") {
    CHECK(tracking_with("nft 'add table ip t; add chain ip t c { type filter hook input priority 0; };"
                        "add rule ip t c tcp dport 22 counter accept'") == Tracking::no);
}

TEST_CASE("a rule that asks for conntrack is found, wherever it stands") {
    const std::string table =
        "nft 'add table inet t; add chain inet t c { type filter hook input priority 0; };"
        "add chain inet t n { type nat hook postrouting priority 100; };";
    CHECK(tracking_with(table + "add rule inet t c ct state established accept'") == Tracking::yes);
    CHECK(tracking_with(table + "add rule inet t c ct mark set 7'") == Tracking::yes);
    CHECK(tracking_with(table + "add rule inet t n masquerade'") == Tracking::yes);
    CHECK(tracking_with(table + "add rule inet t n snat ip to 10.0.0.1'") == Tracking::yes);
    CHECK(tracking_with(table + "add set inet t s { type ipv4_addr; flags dynamic; };"
                                "add rule inet t c add @s { ip saddr ct count over 3 } drop'") ==
          Tracking::yes);
}

TEST_CASE("a rule of iptables-nft that asks for conntrack is found") {
    if (std::system("command -v iptables-nft >/dev/null") != 0) {
        WARN("no iptables-nft here");
        return;
    }
    CHECK(tracking_with("iptables-nft -A INPUT -m conntrack --ctstate NEW -j ACCEPT") == Tracking::yes);
    CHECK(tracking_with("iptables-nft -t nat -A POSTROUTING -j MASQUERADE") == Tracking::yes);
    CHECK(tracking_with("iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT") == Tracking::no);
}

TEST_CASE("a table of the older iptables leaves it open whether something is tracked") {
    if (std::system("command -v iptables-legacy >/dev/null") != 0) {
        WARN("no iptables-legacy here");
        return;
    }
    CHECK(tracking_with("iptables-legacy -t nat -L") == Tracking::unknown);
    CHECK(tracking_with("iptables-legacy -A INPUT -m conntrack --ctstate NEW") == Tracking::unknown);
}

TEST_CASE("a flow that is tracked now is proof of tracking") {
    in_new_network_namespace([] {
        run("ip link set lo up");
        run("nft 'add table ip t; add chain ip t c { type filter hook output priority 0; };"
            "add rule ip t c ct state new accept'");
        run("bash -c 'echo x >/dev/udp/127.0.0.1/9'");
        run("nft delete table ip t");
        const KernelState state = read_kernel_state();
        CHECK(state.flows == 1U);
        CHECK(state.tracking == Tracking::yes);
    });
}

}  // namespace
}  // namespace flowkin::testing
