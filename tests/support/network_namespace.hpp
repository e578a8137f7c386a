// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sched.h>

#include <cerrno>
#include <exception>
#include <system_error>
#include <thread>

namespace flowkin::testing {

/// Runs `body` in a thread with a network namespace of its own, which ends with it. A failed REQUIRE in it
/// fails the test as usual. Takes root.
template <class Body>
void in_new_network_namespace(Body body) {
    std::exception_ptr failure;
    std::thread thread([&] {
        try {
            if (::unshare(CLONE_NEWNET) != 0) {
                throw std::system_error(errno, std::generic_category(), "unshare(CLONE_NEWNET)");
            }
            body();
        } catch (...) {
            failure = std::current_exception();
        }
    });
    thread.join();
    if (failure) {
        std::rethrow_exception(failure);
    }
}

}  // namespace flowkin::testing
