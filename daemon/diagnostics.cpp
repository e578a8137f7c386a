// SPDX-License-Identifier: GPL-2.0-or-later
#include "diagnostics.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "journal_stream.hpp"

namespace flowkin {

namespace {

/// systemd names in JOURNAL_STREAM the device and inode of the stream that leads to the journal
/// (systemd.exec(5)).
bool standard_error_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) {
        return false;
    }
    unsigned long long device = 0;
    unsigned long long inode = 0;
    return std::sscanf(stream, "%llu:%llu", &device, &inode) == 2 && device == status.st_dev &&
           inode == status.st_ino;
}

/// "<N>", as sd-daemon(3) reads priorities off a line.
class PriorityPrefix final : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
                spdlog::memory_buf_t& out) override {
        const char* prefix = "<6>";
        switch (message.level) {
            case spdlog::level::critical:
                prefix = "<2>";
                break;
            case spdlog::level::err:
                prefix = "<3>";
                break;
            case spdlog::level::warn:
                prefix = "<4>";
                break;
            case spdlog::level::debug:
            case spdlog::level::trace:
                prefix = "<7>";
                break;
            default:
                break;
        }
        out.append(prefix, prefix + 3);
    }
    std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<PriorityPrefix>();
    }
};

void log_to(spdlog::sink_ptr sink) {
    auto logger = std::make_shared<spdlog::logger>("flowkin", std::move(sink));
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<PriorityPrefix>('P').set_pattern(standard_error_is_journal() ? "%P%v"
                                                                                     : "flowkin: %l: %v");
    logger->set_formatter(std::move(formatter));
    logger->flush_on(spdlog::level::trace);
    logger->set_level(spdlog::get_level());
    spdlog::set_default_logger(std::move(logger));
}

}  // namespace

void set_up_diagnostics(Config::LogLevel level) {
    log_to(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    set_diagnostics_level(level);
}

void separate_diagnostics() {
    if (standard_error_is_journal()) {
        log_to(std::make_shared<JournalStream>());
    }
}

void set_diagnostics_level(Config::LogLevel level) {
    spdlog::set_level(static_cast<spdlog::level::level_enum>(level));
}

}  // namespace flowkin
