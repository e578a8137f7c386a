// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon_status.hpp"

#include <utility>

#include "clock.hpp"
#include "config.hpp"
#include "intake.hpp"
#include "kernel_warnings.hpp"

namespace flowkin {

DaemonStatus take_status(StatusSources sources) {
    const Config& config = sources.config;
    const Intake& intake = sources.intake;
    DaemonStatus status;
    status.version = FLOWKIN_VERSION;
    status.run = sources.run;
    status.state =
        intake.table().reconciling() ? DaemonStatus::State::reconciling : DaemonStatus::State::running;
    status.started = sources.started;
    status.uptime = wall_clock_now() - sources.started;
    status.kernel = read_kernel_settings();
    // Whether anything is tracked takes long to find out: one flow proves it, else it is as it was.
    status.kernel.tracking = status.kernel.flows.value_or(0) == 0 ? sources.tracking_at_start : Tracking::yes;
    status.totals = std::move(sources.totals);
    status.receive_buffer_bytes = intake.source().socket().receive_buffer_bytes();
    status.queued_bytes = intake.log().counters().queued_bytes;
    status.queue_bytes = config.output.queue_bytes;
    status.flows = intake.table().size();
    status.flows_most = intake.table().capacity();
    status.table_bytes = intake.table().memory_bytes();
    if (config.output.destination == Config::Destination::file) {
        status.log_path = config.output.path;
    }
    status.warnings =
        kernel_warnings(status.kernel, status.receive_buffer_bytes, config.conntrack.receive_buffer_bytes);
    status.warnings.insert(status.warnings.end(), intake.warnings().begin(), intake.warnings().end());
    return status;
}

}  // namespace flowkin
