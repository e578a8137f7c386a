// SPDX-License-Identifier: GPL-2.0-or-later
#include "statistics.hpp"

namespace flowkin {

MonitorCounters Statistics::totals() const {
    const PipelineCounters& pipeline = intake_.pipeline().counters();
    const FlowTableCounters table = intake_.table().counters();
    const EventLogCounters log = intake_.log().counters();
    return {{"new", pipeline.new_messages},
            {"update", pipeline.update_messages},
            {"destroy", pipeline.destroy_messages},
            {"dump", pipeline.dump_messages},
            {"expectation", pipeline.expectation_messages},
            {"packet", pipeline.packet_messages},
            {"flows_opened", table.opened},
            {"flows_ended", table.ended},
            {"stale", table.stale},
            {"lost_kernel_socket", intake_.source().loss().total()},
            {"lost_packets", intake_.packets() != nullptr ? intake_.packets()->lost() : 0},
            {"lost_sink_lines", log.lines_dropped},
            {"lines", pipeline.lines},
            {"bytes_written", log.bytes_written}};
}

std::optional<MonitorStats> Statistics::due(WallTime now, std::optional<nanoseconds> interval) {
    if (!interval || now - said_ < *interval) {
        return std::nullopt;
    }
    MonitorStats stats{.interval = now - said_, .counters = totals()};
    at_last_record_.resize(stats.counters.size());
    for (std::size_t i = 0; i < stats.counters.size(); ++i) {
        const std::uint64_t total = stats.counters[i].second;
        stats.counters[i].second -= at_last_record_[i].second;
        at_last_record_[i].second = total;
    }
    stats.counters.emplace_back("flows_live", intake_.table().size());
    said_ = now;
    return stats;
}

std::string Statistics::status_text() const {
    const FlowTableCounters table = intake_.table().counters();
    return std::to_string(intake_.table().size()) + " flows live, " + std::to_string(table.opened) +
           " opened, " + std::to_string(intake_.source().loss().total()) + " events lost, " +
           std::to_string(intake_.log().counters().lines_dropped) + " lines dropped";
}

}  // namespace flowkin
