// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every way to lose something ends in a record: the sockets' counters, the decoder's faults and the queue's gaps become
// events-lost here, one for an interval.
#include <spdlog/spdlog.h>

#include "clock.hpp"
#include "intake.hpp"

namespace flowkin {

void Intake::settle_events(WallTime now) {
    events_settled_ = now;
    auto loss = source_.settle();
    if (!loss) {
        return;
    }
    if (reliable_destroy_.on()) {
        loss->count.reset();  // the counter also counts each vain try to give us a DESTROY
    }
    pipeline_.table().note_loss();
    pipeline_.say(*loss);
    spdlog::warn(
        "{} events were lost at the kernel's socket (a larger [conntrack] receive_buffer holds longer "
        "bursts)",
        loss->count ? std::to_string(*loss->count) : "some");
    callbacks_.events_lost();
}

void Intake::settle_packets(WallTime now) {
    if (!packets_) {
        return;
    }
    if (const auto loss = packets_->settle(pipeline_.packets().missing(), now)) {
        pipeline_.say(*loss);
        spdlog::warn("{} logged packets were lost at the kernel's socket", *loss->count);
    }
}

void Intake::settle_log(WallTime now) {
    const auto loss = log_->take_loss();
    if (!loss) {
        return;
    }
    LossEvent event;
    event.at = now;
    event.place = loss->write_failed ? LossPlace::sink_write : LossPlace::sink_queue;
    event.count = loss->lines;
    event.first_sequence = loss->first_sequence;
    event.last_sequence = loss->last_sequence;
    event.since = loss->since;
    event.until = loss->until;
    pipeline_.say(event);
    spdlog::warn("{} lines were dropped because {}", loss->lines,
                 loss->write_failed ? "the log could not be written" : "the log was written too slowly");
}

void Intake::settle_decoder(WallTime now) {
    const auto declare = [&](std::uint64_t total, std::uint64_t& declared, const std::string& what) {
        if (total == declared) {
            return;
        }
        if (declared == 0) {
            spdlog::warn(
                "a netlink message was not understood: {} (further ones of this kind are only counted)",
                what);
        }
        LossEvent event;
        event.at = now;
        event.place = LossPlace::decoder;
        event.count = total - declared;
        event.until = now;
        event.detail = what;
        pipeline_.say(event);
        declared = total;
    };
    for (std::size_t kind = 0; kind < decode_fault_kinds; ++kind) {
        declare(pipeline_.counters().faults[kind], declared_faults_[kind],
                std::string(name(static_cast<DecodeFault>(kind))));
    }
    declare(source_.cut(), declared_cut_, "longer than any message the kernel is known to make");
    if (source_.not_kernel() != 0 && !not_kernel_said_) {
        not_kernel_said_ = true;
        spdlog::warn("netlink messages that another program sent were refused: only the kernel is heard");
    }
}

}  // namespace flowkin
