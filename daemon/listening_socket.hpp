// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "listen_address.hpp"

namespace flowkin {

/// A stream socket that listens, and does not block. That of a unix path has mode 0660; its file goes with it.
///
/// It belongs to the network namespace of the thread that opened it, wherever that goes afterwards.
class ListeningSocket {
  public:
    /// A socket file that a dead process left is replaced. One that answers, and anything else at that path, is
    /// left alone: Fault::input_output, with what to do.
    static Result<ListeningSocket> open(const ListenAddress& address);
    ~ListeningSocket();
    ListeningSocket(ListeningSocket&& other) noexcept
        : fd_(std::move(other.fd_)), family_(other.family_), file_(std::exchange(other.file_, {})) {}
    ListeningSocket& operator=(ListeningSocket&&) = delete;
    ListeningSocket(const ListeningSocket&) = delete;
    ListeningSocket& operator=(const ListeningSocket&) = delete;

    int fd() const { return fd_.get(); }
    int family() const { return family_; }
    /// Gives the descriptor away; the file still goes with this.
    int release() { return fd_.release(); }

  private:
    ListeningSocket(UniqueFd fd, int family) : fd_(std::move(fd)), family_(family) {}

    UniqueFd fd_;
    int family_;
    struct File {
        std::string path;  // empty: there is none
        dev_t device = 0;
        ino_t inode = 0;
    };
    File file_;
};

}  // namespace flowkin
