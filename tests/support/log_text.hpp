// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flowkin::test {

inline std::string hex16(std::uint64_t value) {
    std::string text(16, '0');
    for (std::size_t i = text.size(); value != 0; value >>= 4U) {
        text[--i] = "0123456789abcdef"[value & 0xfU];
    }
    return text;
}

/// Writes a log by hand, in the daemon's own shape: what a test breaks, it breaks by saying so. Each line
/// takes the next sequence; skip() loses lines.
class LogText {
  public:
    explicit LogText(std::uint64_t run = 0xaaaa) : run_(run) {}

    /// What a flow record may bear beside its uid.
    struct Extra {
        std::uint64_t uid_run = 0;  ///< 0: the current run
        std::string_view json;      ///< under conntrack, with a leading comma
    };

    LogText& flow(std::string_view action, std::uint64_t counter, Extra extra) {
        const std::uint64_t uid_run = extra.uid_run == 0 ? run_ : extra.uid_run;
        const std::string_view type = action == "flow-end"     ? "end"
                                      : action == "flow-start" ? "start"
                                                               : "info";
        head("flow", "event", R"("category":["network"],"type":["connection",")" + std::string(type) + "\"]",
             action);
        text_ +=
            R"(},"network":{"type":"ipv4","transport":"tcp","iana_number":"6",)"
            R"("community_id":"1:hggek9pOhdwmeMvJtKyBzeKOsnc="},"source":{"ip":"192.168.10.20","port":40314,)"
            R"("nat":{"ip":"198.51.100.7","port":40314}},"destination":{"ip":"203.0.113.50","port":50021},)"
            R"("conntrack":{"uid":")";
        text_ += hex16(uid_run) + hex16(counter);
        text_ +=
            R"(","id":990143872,"mark":17,"mark_origin":"rule","status":["seen_reply","assured","confirmed"],)"
            R"("tcp":{"state":"ESTABLISHED"},"timeout":432000)";
        text_ += extra.json;
        text_ += R"(,"observed":"event"})";
        return end_line();
    }
    LogText& flow(std::string_view action, std::uint64_t counter) { return flow(action, counter, {0, {}}); }

    LogText& open(std::uint64_t counter) { return flow("flow-start", counter); }
    LogText& seen(std::uint64_t counter) { return flow("flow-seen", counter); }
    LogText& update(std::uint64_t counter) { return flow("flow-update", counter); }
    LogText& close(std::uint64_t counter) { return flow("flow-end", counter); }
    LogText& child(std::uint64_t counter, std::uint64_t parent, std::uint64_t root) {
        return flow("flow-start", counter, {0, kin(parent, root)});
    }
    std::string kin(std::uint64_t parent, std::uint64_t root) const {
        return R"(,"parent":{"uid":")" + hex16(run_) + hex16(parent) +
               R"(","id":2840116531},"lineage":{"root":")" + hex16(run_) + hex16(root) + R"(","depth":1})";
    }
    LogText& expectation(std::string_view action, std::uint64_t parent, std::uint64_t child) {
        head("expectation", "event", R"("category":["network"],"type":["connection","info"])", action);
        text_ += R"(},"conntrack":{"expectation":{"id":77)";
        if (child != 0) {
            text_ += R"(,"child":")" + hex16(run_) + hex16(child) + '"';
        }
        text_ += R"(},"parent":{"uid":")" + hex16(run_) + hex16(parent) + R"("}})";
        return end_line();
    }

    LogText& lost(std::string_view where, std::uint64_t count, std::uint64_t first = 0,
                  std::uint64_t last = 0) {
        head("loss", "pipeline_error", R"("type":["info"])", "events-lost");
        text_ += R"(},"conntrack":{"loss":{"where":")" + std::string(where) + R"(","count":)" +
                 std::to_string(count);
        if (first != 0) {
            text_ +=
                ",\"first_sequence\":" + std::to_string(first) + ",\"last_sequence\":" + std::to_string(last);
        }
        text_ += "}}";
        return end_line();
    }

    LogText& start_fresh() { return start(R"("state":"fresh")"); }
    LogText& start_restored(std::uint64_t previous) {
        return start(R"("previous_run":")" + hex16(previous) + R"(","state":"restored")");
    }
    LogText& stop(std::uint64_t flows_live) {
        head("monitor", "event", R"("type":["info"])", "monitor-stop");
        text_ += R"(},"conntrack":{"monitor":{"reason":"SIGTERM","totals":{"flows_live":)" +
                 std::to_string(flows_live) + "}}}";
        return end_line();
    }

    /// Sequences that no line will bear.
    LogText& skip(std::uint64_t lines) {
        sequence_ += lines;
        return *this;
    }
    LogText& go_to(std::uint64_t sequence) {
        sequence_ = sequence - 1;
        return *this;
    }
    LogText& run(std::uint64_t run, std::uint64_t next_sequence = 1) {
        run_ = run;
        return go_to(next_sequence);
    }
    LogText& raw(std::string_view bytes) {
        text_ += bytes;
        return *this;
    }

    const std::string& text() const { return text_; }
    std::uint64_t next_sequence() const { return sequence_ + 1; }

  private:
    LogText& start(const std::string& json) {
        head("monitor", "event", R"("type":["info"])", "monitor-start");
        text_ += R"(},"conntrack":{"monitor":{"version":"0.1.0","run":")" + hex16(run_) + "\"," + json + "}}";
        return end_line();
    }
    void head(std::string_view dataset, std::string_view kind, const std::string& json,
              std::string_view action) {
        ++sequence_;
        text_ += R"({"@timestamp":"2026-11-23T09:15:07.612004417Z","event":{"id":")" + hex16(run_) +
                 hex16(sequence_) + R"(","sequence":)" + std::to_string(sequence_) +
                 R"(,"module":"flowkin","dataset":"flowkin.)";
        text_ += dataset;
        text_ += R"(","kind":")";
        text_ += kind;
        text_ += "\"," + json + R"(,"action":")";
        text_ += action;
        text_ += '"';
    }
    LogText& end_line() {
        text_ += "}\n";
        return *this;
    }

    std::uint64_t run_;
    std::uint64_t sequence_ = 0;
    std::string text_;
};

}  // namespace flowkin::test
