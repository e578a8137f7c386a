// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

#include "support/log_text.hpp"

namespace flowkin::test {

/// Flows that live side by side, each opened, updated and ended, one in ten a child.
inline std::string make_log(std::uint64_t flows, std::uint64_t live) {
    LogText log;
    log.start_fresh();
    for (std::uint64_t i = 1; i <= flows + live; ++i) {
        if (i <= flows) {
            i % 10 == 0 ? log.child(i, i - 1, i - 1) : log.open(i);
        }
        if (i > live) {
            log.update(i - live).close(i - live);
        }
    }
    return log.stop(0).text();
}

/// A log on disk, as long as this lives.
class LogFile {
  public:
    explicit LogFile(const std::string& text) {
        const int fd = ::mkstemp(path_.data());
        std::ofstream(path_.data()) << text;
        ::close(fd);
    }
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;
    ~LogFile() { ::unlink(path_.data()); }
    std::string path() const { return path_.data(); }

  private:
    std::array<char, 32> path_{"/tmp/ledger_bench.XXXXXX"};
};

}  // namespace flowkin::test
