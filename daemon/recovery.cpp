// SPDX-License-Identifier: GPL-2.0-or-later
#include "recovery.hpp"

#include <cstdlib>
#include <string_view>

#include "log_tail.hpp"

namespace flowkin {

std::string state_path(const Config& config) {
    if (!config.state.path.empty()) {
        return config.state.path;
    }
    const char* folder = std::getenv("STATE_DIRECTORY");  // systemd.exec(5); several are joined by colons
    if (folder == nullptr || *folder == '\0') {
        return {};
    }
    const std::string first(folder, std::string_view(folder).find(':') == std::string_view::npos
                                        ? std::string_view(folder).size()
                                        : std::string_view(folder).find(':'));
    return first + "/flows.state";
}

namespace {

/// A parent's change of mark is written on the child at its next record. There was none where the child's record is the
/// older one and the parent has ended since.
FlowRecord after_its_parents_end(FlowRecord child, const LogTail& tail) {
    if (child.lineage && child.flow.mark_origin == MarkOrigin::inherited) {
        const auto mark = tail.ended_marks.find(child.lineage->parent);
        if (mark != tail.ended_marks.end() && mark->second != child.flow.mark) {
            child.flow.mark_origin = MarkOrigin::diverged;
        }
    }
    return child;
}

}  // namespace

Recovery recover(const std::string& path, const StateOrigin& origin, FlowTable& table) {
    Recovery recovery;
    LogTail tail;
    const auto wanted = [&](const StateHeader& header) {
        recovery.previous_run = header.run;
        if (header.origin.boot_id != origin.boot_id) {
            recovery.warning = "state file " + path + " is of another boot";
        } else if (header.origin.netns_cookie != origin.netns_cookie) {
            recovery.warning = "state file " + path + " is of another network namespace";
        } else {
            tail = read_log_tail(header);
            recovery.previous_run = tail.run;
            recovery.log_path = header.log_path;
            if (tail.superseded) {
                recovery.warning = "state file " + path + " is older than a run that began afresh";
            } else if (!tail.joins && !header.clean) {
                recovery.warning =
                    "state file " + path +
                    " is older than the end of the run that wrote it, and that run's log cannot be read back";
            }
        }
        return recovery.warning.empty();
    };
    const auto take = [&](const FlowRecord& record) {
        if (const auto at = tail.flows.find(record.flow.uid); at != tail.flows.end()) {
            if (at->second && record.marks && at->second->flow.mark_changes == record.flow.mark_changes) {
                at->second->marks = record.marks;
            }
            return;  // the log knows better
        }
        if (table.restore(after_its_parents_end(record, tail))) {
            ++recovery.flows;
        }
    };
    const auto loaded = load_state(path, wanted, take);
    if (!loaded) {
        recovery.warning = loaded.error().text;
    }
    if (!recovery.warning.empty()) {
        table.clear();
        recovery.flows = 0;
        set_state_aside(path);
        recovery.warning += "; it is kept as " + path + ".rejected, and this run starts afresh";
        return recovery;
    }
    if (!*loaded) {
        return recovery;
    }
    for (const auto& [uid, record] : tail.flows) {
        if (record && table.restore(after_its_parents_end(*record, tail))) {
            ++recovery.flows;
        }
    }
    table.relink();
    recovery.restored = true;
    recovery.clean = tail.stopped;
    recovery.kernel_drops = tail.kernel_drops;
    recovery.heard_until = tail.heard_until;
    return recovery;
}

}  // namespace flowkin
