// SPDX-License-Identifier: GPL-2.0-or-later
#include "network_namespace.hpp"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.hpp"

namespace flowkin {

Result<void> enter_network_namespace(const std::string& name_or_path) {
    const bool is_path = name_or_path.starts_with('/');
    const std::string path = is_path ? name_or_path : "/run/netns/" + name_or_path;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        const int error = errno;
        return fail(error == EACCES || error == EPERM ? Fault::permission : Fault::configuration,
                    "network namespace " + name_or_path + ": " + std::strerror(error) +
                        (error == ENOENT ? " (ip netns list shows those that have a name)" : ""));
    }
    if (::setns(fd.get(), CLONE_NEWNET) != 0) {
        const int error = errno;
        if (error == EPERM) {
            return fail(Fault::permission,
                        "entering network namespace " + name_or_path + " needs CAP_SYS_ADMIN");
        }
        return fail(Fault::configuration, path + " is not a network namespace: " + std::strerror(error));
    }
    return {};
}

}  // namespace flowkin
