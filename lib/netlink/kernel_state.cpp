// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/kernel_state.hpp"

#include <sys/utsname.h>

#include <fstream>

#include "netlink/tracking.hpp"

namespace flowkin {
namespace {

template <class Number>
std::optional<Number> read_sysctl(const std::string& name) {
    std::ifstream file("/proc/sys/net/" + name);
    Number value{};
    return file >> value ? std::optional<Number>(value) : std::nullopt;
}

}  // namespace

KernelState read_kernel_settings() {
    KernelState state;
    utsname name{};
    if (::uname(&name) == 0) {
        state.release = name.release;
    }
    state.acct = read_sysctl<std::uint32_t>("netfilter/nf_conntrack_acct");
    state.timestamp = read_sysctl<std::uint32_t>("netfilter/nf_conntrack_timestamp");
    state.events = read_events_setting();
    const KernelTableFill fill = read_kernel_table_fill();
    state.flows = fill.flows;
    state.flows_max = fill.most;
    state.receive_buffer_max_bytes = read_sysctl<std::uint64_t>("core/rmem_max");
    return state;
}

KernelState read_kernel_state() {
    KernelState state = read_kernel_settings();
    state.tracking = find_tracking(state.flows);
    return state;
}

KernelTableFill read_kernel_table_fill() {
    return {read_sysctl<std::uint64_t>("netfilter/nf_conntrack_count"),
            read_sysctl<std::uint64_t>("netfilter/nf_conntrack_max")};
}

std::optional<std::uint32_t> read_events_setting() {
    return read_sysctl<std::uint32_t>("netfilter/nf_conntrack_events");
}

std::optional<unsigned> read_table_fill_percent() {
    const auto [flows, most] = read_kernel_table_fill();
    if (!flows || !most || *most == 0) {
        return std::nullopt;
    }
    return static_cast<unsigned>(*flows * 100 / *most);
}

}  // namespace flowkin
