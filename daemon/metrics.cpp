// SPDX-License-Identifier: GPL-2.0-or-later
#include "metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <sstream>
#include <utility>
#include <vector>

#include "clock.hpp"
#include "intake.hpp"
#include "netlink/kernel_state.hpp"
#include "reconciler.hpp"
#include "stall_watch.hpp"

namespace flowkin {
namespace {

double in_seconds(nanoseconds duration) {
    return std::chrono::duration<double>(duration).count();
}

double in_seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

std::optional<double> timestamp(WallTime time) {
    return time == WallTime{} ? std::nullopt : std::optional(in_seconds(time.time_since_epoch()));
}

template <class Number>
std::optional<double> known(const std::optional<Number>& number) {
    return number ? std::optional(static_cast<double>(*number)) : std::nullopt;
}

std::string hex(RunId run) {
    std::array<char, 17> text{};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(run));
    return text.data();
}

std::optional<double> processor_seconds() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return in_seconds(used.ru_utime) + in_seconds(used.ru_stime);
}

std::optional<double> resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t all_pages = 0;
    std::uint64_t resident_pages = 0;
    file >> all_pages >> resident_pages;
    return file ? std::optional(static_cast<double>(resident_pages) *
                                static_cast<double>(::sysconf(_SC_PAGESIZE)))
                : std::nullopt;
}

}  // namespace

Metrics::Metrics(const Sources& sources) : registry_(std::make_unique<prometheus::Registry>()) {
    count_intake(sources.intake);
    count_losses(sources.intake);
    gauge_levels(sources);
    measure_writes(sources.intake);
    describe(sources);
}

Metrics::~Metrics() = default;

std::string Metrics::page() {
    for (const auto& update : updates_) {
        update();
    }
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, registry_->Collect());
    return std::move(text).str();
}

void Metrics::count(const char* name, const char* help, const Labels& labels, Reading read) {
    auto& counter = prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(labels);
    updates_.emplace_back([&counter, read = std::move(read)] {
        counter.Increment(read().value_or(0) - counter.Value());  // the total is kept where it is counted
    });
}

void Metrics::gauge(const char* name, const char* help, const Labels& labels, Reading read) {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(*registry_);
    updates_.emplace_back([&family, labels, read = std::move(read)] {
        auto& sample = family.Add(labels);
        if (const auto value = read()) {
            sample.Set(*value);
        } else {
            family.Remove(&sample);
        }
    });
}

void Metrics::count_intake(const Intake& intake) {
    const auto events = [&](const char* type, const std::uint64_t PipelineCounters::*messages) {
        count("flowkin_events_total",
              "Messages that the kernel sent, by type; dump: flows of a reconcile's dump.", {{"type", type}},
              [&intake, messages] { return static_cast<double>(intake.pipeline().counters().*messages); });
    };
    events("new", &PipelineCounters::new_messages);
    events("update", &PipelineCounters::update_messages);
    events("destroy", &PipelineCounters::destroy_messages);
    events("expectation", &PipelineCounters::expectation_messages);
    events("packet", &PipelineCounters::packet_messages);
    events("dump", &PipelineCounters::dump_messages);

    count("flowkin_lines_total", "Lines made, whether or not they could be written.", {},
          [&intake] { return static_cast<double>(intake.pipeline().counters().lines); });
    count("flowkin_written_lines_total", "Lines that the destination took.", {},
          [&intake] { return static_cast<double>(intake.log().counters().lines_written); });
    count("flowkin_written_bytes_total", "Bytes that the destination took.", {},
          [&intake] { return static_cast<double>(intake.log().counters().bytes_written); });
    count("flowkin_rotations_total", "Times that the file was renamed and begun anew.", {},
          [&intake] { return static_cast<double>(intake.log().counters().rotations); });

    count("flowkin_flows_opened_total", "Flows met for the first time.", {},
          [&intake] { return static_cast<double>(intake.table().counters().opened); });
    count("flowkin_flows_ended_total", "Flows that ended.", {},
          [&intake] { return static_cast<double>(intake.table().counters().ended); });
    count("flowkin_flows_refused_total", "Flows that the full table had no room for.", {},
          [&intake] { return static_cast<double>(intake.table().counters().refused); });
}

void Metrics::count_losses(const Intake& intake) {
    const auto lost = [&](const char* place, Reading read) {
        count("flowkin_lost_total",
              "What was lost, by place: events at kernel-socket and decoder, logged packets at packets, "
              "lines at "
              "sink-queue and sink-write. Each is also an events-lost line.",
              {{"place", place}}, std::move(read));
    };
    lost("kernel-socket", [&intake] { return static_cast<double>(intake.source().loss().total()); });
    lost("packets", [&intake] {
        return static_cast<double>(intake.packets() != nullptr ? intake.packets()->lost() : 0);
    });
    lost("decoder", [&intake] {
        const auto& faults = intake.pipeline().counters().faults;
        return static_cast<double>(std::accumulate(faults.begin(), faults.end(), intake.source().cut()));
    });
    lost("sink-queue", [&intake] {
        const EventLogCounters log = intake.log().counters();
        return static_cast<double>(log.lines_dropped - log.lines_dropped_unwritable);
    });
    lost("sink-write",
         [&intake] { return static_cast<double>(intake.log().counters().lines_dropped_unwritable); });
    count("flowkin_sink_write_errors_total", "Writes to the destination that failed.", {},
          [&intake] { return static_cast<double>(intake.log().counters().write_errors); });
}

void Metrics::gauge_levels(const Sources& sources) {
    const Intake& intake = sources.intake;
    gauge("flowkin_sink_failing", "1 while the destination cannot be written.", {},
          [&intake] { return intake.log().counters().failing ? 1.0 : 0.0; });
    gauge("flowkin_queue_bytes", "Lines that wait in memory for the destination.", {},
          [&intake] { return static_cast<double>(intake.log().counters().queued_bytes); });
    gauge("flowkin_queue_capacity_bytes", "What may wait before lines are dropped.", {},
          [capacity = sources.queue_capacity_bytes] { return static_cast<double>(capacity); });

    gauge("flowkin_table_flows", "Flows that flowkin remembers.", {},
          [&intake] { return static_cast<double>(intake.table().size()); });
    gauge("flowkin_table_capacity_flows", "Flows that flowkin remembers at most.", {},
          [&intake] { return static_cast<double>(intake.table().capacity()); });
    gauge("flowkin_kernel_table_flows", "Flows in the kernel's table (nf_conntrack_count).", {},
          [] { return known(read_kernel_table_fill().flows); });
    gauge("flowkin_kernel_table_flows_max", "Flows that the kernel's table holds at most (nf_conntrack_max).",
          {}, [] { return known(read_kernel_table_fill().most); });

    gauge("flowkin_receive_buffer_bytes", "The event socket's receive buffer, as the kernel granted it.", {},
          [&intake] { return static_cast<double>(intake.source().socket().receive_buffer_bytes()); });
    gauge("flowkin_last_event_timestamp_seconds", "When the kernel last sent an event.", {},
          [&intake] { return timestamp(intake.source().last_event()); });
    gauge("flowkin_reconcile_seconds", "How long the last comparison with the kernel's table took.", {},
          [&reconciler = sources.reconciler]() -> std::optional<double> {
              const auto& last = reconciler.last();
              return last ? std::optional(in_seconds(last->duration)) : std::nullopt;
          });
    gauge("flowkin_stalled", "1 while the kernel has new flows and sends no events of them.", {},
          [&watch = sources.stall_watch] { return watch.stalled() ? 1.0 : 0.0; });

    gauge("flowkin_config_last_reload_successful", "0 where the last reload was refused.", {},
          [&reload = sources.reload] { return reload.successful ? 1.0 : 0.0; });
    gauge("flowkin_config_last_reload_success_timestamp_seconds",
          "When the configuration that is in force was read.", {},
          [&reload = sources.reload] { return timestamp(reload.successful_at); });
}

void Metrics::measure_writes(const Intake& intake) {
    prometheus::Histogram::BucketBoundaries bounds;
    for (const auto bound : WriteLatency::bounds) {
        bounds.push_back(in_seconds(bound));
    }
    auto& histogram =
        prometheus::BuildHistogram()
            .Name("flowkin_sink_write_seconds")
            .Help("How long a write to the destination took, its wait for a slow reader included.")
            .Register(*registry_)
            .Add({}, bounds);
    updates_.emplace_back([&intake, &histogram, shown = WriteLatency{}]() mutable {
        const WriteLatency latency = intake.log().counters().latency;
        std::vector<double> writes;
        for (std::size_t i = 0; i < latency.writes.size(); ++i) {
            writes.push_back(static_cast<double>(latency.writes[i] - shown.writes[i]));
        }
        histogram.ObserveMultiple(writes, in_seconds(latency.total - shown.total));
        shown = latency;
    });
}

void Metrics::describe(const Sources& sources) {
    const auto one = [] { return 1.0; };
    gauge("flowkin_build_info", "Always 1: the version.", {{"version", sources.version}}, one);
    gauge("flowkin_run_info", "Always 1: the run, whose id begins each event.id.",
          {{"run", hex(sources.run)}}, one);
    gauge("process_start_time_seconds", "When flowkin was started.", {},
          [started = wall_clock_now()] { return timestamp(started); });
    count("process_cpu_seconds_total", "Processor time that flowkin has used.", {}, processor_seconds);
    gauge("process_resident_memory_bytes", "Memory that flowkin holds.", {}, resident_bytes);
}

}  // namespace flowkin
