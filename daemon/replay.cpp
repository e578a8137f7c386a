// SPDX-License-Identifier: GPL-2.0-or-later
#include "replay.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "ignore_entry.hpp"
#include "netlink/capture_file.hpp"

namespace flowkin {

namespace {

/// The name that stands on a replay's lines: this machine's would make two replays differ.
constexpr const char* replay_host = "replay";

Result<void> write_out(LineBatch& batch) {
    std::string_view rest = batch.bytes();
    while (!rest.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
        if (written < 0 && errno != EINTR) {
            return fail(Fault::input_output, std::string("standard output: ") + std::strerror(errno));
        }
        rest.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
    }
    batch.clear();
    return {};
}

}  // namespace

Result<void> replay(const Options& options, const Config& config) {
    constexpr std::size_t write_bytes = 262'144;
    auto encoder = LineEncoder::create({.run = options.replay_run,
                                        .host_name = replay_host,
                                        .fields = config.output.fields,
                                        .label_names = {}});
    if (!encoder) {
        return tl::unexpected(encoder.error());
    }
    auto reader = CaptureReader::open(options.replay_file.string());
    if (!reader) {
        return tl::unexpected(reader.error());
    }
    FlowTableSettings table{
        .run = options.replay_run, .active_interval = config.output.active_interval, .hash_seed = 0};
    if (config.table.capacity != 0) {
        table.capacity = config.table.capacity;
    }
    Pipeline pipeline({.table = table, .updates = config.output.updates}, std::move(*encoder));
    pipeline.ignore(IgnoredFlows(ignore_rules(config.filter.ignore)));
    CaptureReader::Packet packet;
    while (true) {
        const auto more = reader->next(packet);
        if (!more || !*more) {
            // The capture's end is no flow's end; but a child that has not come by now did not come.
            pipeline.table().abandon_reconcile(packet.arrival);
            pipeline.table().tick(packet.arrival + seconds(1));
            pipeline.packets().let_all_go();
            const auto written = write_out(pipeline.batch());
            return more ? written : tl::unexpected(more.error());
        }
        if (pipeline.feed(packet.datagram, packet.arrival).done) {
            // Somebody's dump, perhaps of a part only: nothing is swept.
            pipeline.table().abandon_reconcile(packet.arrival);
        }
        if (pipeline.batch().size() >= write_bytes) {
            if (auto written = write_out(pipeline.batch()); !written) {
                return written;
            }
        }
    }
}

}  // namespace flowkin
