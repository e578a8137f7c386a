// SPDX-License-Identifier: GPL-2.0-or-later
#include "diagnostics.hpp"

#include <spdlog/formatter.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "diagnostic_stream.hpp"
#include "host_name.hpp"
#include "json/diagnostic_line.hpp"

namespace flowkin {

namespace {

/// What a pipe takes whole or not at all.
constexpr std::size_t line_longest = 4096;

/// systemd names in JOURNAL_STREAM the device and inode of the stream that leads to the journal
/// (systemd.exec(5)).
bool leads_to_journal(int fd) {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (stream == nullptr || ::fstat(fd, &status) != 0) {
        return false;
    }
    unsigned long long device = 0;
    unsigned long long inode = 0;
    return std::sscanf(stream, "%llu:%llu", &device, &inode) == 2 && device == status.st_dev &&
           inode == status.st_ino;
}

/// As syslog(3) counts.
unsigned severity_of(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::critical:
            return 2;
        case spdlog::level::err:
            return 3;
        case spdlog::level::warn:
            return 4;
        case spdlog::level::debug:
        case spdlog::level::trace:
            return 7;
        default:
            return 6;
    }
}

std::string_view view(const spdlog::string_view_t& text) {
    return {text.data(), text.size()};
}

enum class Form : std::uint8_t {
    plain,     ///< for a terminal or a file
    priority,  ///< "<N>" before the text, as sd-daemon(3) reads priorities off a line
    json,      ///< the same before an object
};

class Formatter final : public spdlog::formatter {
  public:
    Formatter(Form form, std::string host_name) : form_(form), host_name_(std::move(host_name)) {}

    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        const unsigned severity = severity_of(message.level);
        const std::string_view level = view(spdlog::level::to_string_view(message.level));
        const std::string_view text = view(message.payload);
        const std::string prefix = '<' + std::to_string(severity) + '>';
        std::string line;
        switch (form_) {
            case Form::plain:
                line.append("flowkin: ").append(level).append(": ").append(text).append("\n");
                break;
            case Form::priority:
                line.append(prefix).append(text).append("\n");
                break;
            case Form::json:
                line = prefix + diagnostic_line({std::chrono::time_point_cast<nanoseconds>(message.time),
                                                 severity, level, text},
                                                host_name_);
                break;
        }
        if (line.size() > line_longest) {
            line.resize(line_longest - 1);
            line += '\n';
        }
        out.append(line.data(), line.data() + line.size());
    }

    std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<Formatter>(form_, host_name_);
    }

  private:
    Form form_;
    std::string host_name_;
};

void log_to(DiagnosticStream::To to, Config::Destination lines) {
    auto logger = std::make_shared<spdlog::logger>("flowkin", std::make_shared<DiagnosticStream>(to));
    logger->set_level(spdlog::get_level());
    spdlog::set_default_logger(std::move(logger));
    set_diagnostics_beside(lines);
}

Config::Destination lines_go_to = Config::Destination::standard_output;

}  // namespace

void set_up_diagnostics(Config::LogLevel level) {
    log_to(DiagnosticStream::To::standard_error, lines_go_to);
    set_diagnostics_level(level);
}

void separate_diagnostics() {
    if (leads_to_journal(STDERR_FILENO)) {
        log_to(DiagnosticStream::To::journal, lines_go_to);
    }
}

void set_diagnostics_level(Config::LogLevel level) {
    spdlog::set_level(static_cast<spdlog::level::level_enum>(level));
}

void set_diagnostics_beside(Config::Destination lines) {
    lines_go_to = lines;
    Form form = Form::plain;
    if (leads_to_journal(STDERR_FILENO)) {
        const bool mingled = lines == Config::Destination::standard_output && standard_output_is_journal();
        form = mingled ? Form::json : Form::priority;
    }
    spdlog::default_logger()->set_formatter(std::make_unique<Formatter>(form, host_name()));
}

bool standard_output_is_journal() {
    return leads_to_journal(STDOUT_FILENO);
}

}  // namespace flowkin
