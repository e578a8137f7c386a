// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/fragments.hpp"

#include "json/words.hpp"

namespace flowkin {
namespace {

/// What differs between the kinds.
struct KindWords {
    std::string_view dataset;
    std::string_view kind;
    std::string_view type;
    std::string_view action;
};

constexpr std::array<KindWords, line_kinds> kind_words{{
    {"flow", "event", R"("connection","start")", "flow-start"},
    {"flow", "event", R"("connection","info")", "flow-seen"},
    {"flow", "event", R"("connection","info")", "flow-update"},
    {"flow", "event", R"("connection","info")", "flow-mark-changed"},
    {"flow", "event", R"("connection","info")", "flow-active"},
    {"flow", "event", R"("connection","end")", "flow-end"},
    {"expectation", "event", R"("connection","info")", "expectation-created"},
    {"expectation", "event", R"("connection","info")", "expectation-fulfilled"},
    {"expectation", "event", R"("connection","info")", "expectation-ended"},
    {"packet", "event", R"("connection","denied")", "packet-rejected"},
    {"packet", "event", R"("connection","info")", "packet-error"},
    {"packet", "event", R"("connection","info")", "packet-reset"},
    {"packet", "event", R"("connection","denied")", "packet-invalid"},
    {"packet", "event", R"("connection","info")", "packet-logged"},
    {"loss", "pipeline_error", R"("info")", "events-lost"},
    {"monitor", "event", R"("info")", "resync-completed"},
    {"monitor", "event", R"("info")", "monitor-start"},
    {"monitor", "event", R"("info")", "monitor-reload"},
    {"monitor", "event", R"("info")", "monitor-stop"},
    {"monitor", "metric", R"("info")", "monitor-stats"},
    {"monitor", "event", R"("info")", "monitor-warning"},
}};

std::string event_id_text(RunId run) {
    std::array<char, 16> run_text{};
    write_hex(run_text.data(), run);
    return std::string(R"(,"event":{"id":")").append(run_text.data(), run_text.size());
}

std::string kind_text(const KindWords& words) {
    const bool of_network = words.dataset != "loss" && words.dataset != "monitor";
    std::string text = R"(,"module":"flowkin","dataset":"flowkin.)";
    text.append(words.dataset);
    text.append(R"(","kind":")").append(words.kind).append("\",");
    text.append(of_network ? R"("category":["network"],)" : "");
    text.append(R"("type":[)").append(words.type);
    return text.append(R"(],"action":")").append(words.action).append("\"");
}

std::string network_text(Family family, unsigned protocol) {
    std::string text =
        family == Family::ipv4 ? R"(,"network":{"type":"ipv4",)" : R"(,"network":{"type":"ipv6",)";
    if (const auto word = transport_word(static_cast<Protocol>(protocol)); !word.empty()) {
        text.append(R"("transport":")").append(word).append("\",");
    }
    return text + R"("iana_number":")" + std::to_string(protocol) + '"';
}

}  // namespace

LabelTexts::LabelTexts(const std::map<unsigned, std::string>& names) {
    for (unsigned bit = 0; bit < bits; ++bit) {
        numbers_[bit] = std::to_string(bit) + ',';
        const auto name = names.find(bit);
        texts_[bit] = name == names.end() ? numbers_[bit] : '"' + escaped(name->second) + "\",";
    }
}

void LabelTexts::put(LineWriter& line, const Labels& labels) const {
    std::size_t list_bytes = 1;  // "[": the last comma becomes "]"
    for (unsigned bit = 0; bit < bits; ++bit) {
        list_bytes += labels.has(bit) ? numbers_[bit].size() : 0;
    }
    line.put('[');
    for (unsigned bit = 0; bit < bits; ++bit) {
        if (!labels.has(bit)) {
            continue;
        }
        const std::size_t with_name = list_bytes - numbers_[bit].size() + texts_[bit].size();
        const bool name_fits = with_name <= list_bytes_limit;
        line.put(name_fits ? texts_[bit] : numbers_[bit]);
        list_bytes = name_fits ? with_name : list_bytes;
    }
    line.close_after_comma(']');
}

Fragments::Fragments(const LineEncoderSettings& settings, const std::string& static_members)
    : event_id(event_id_text(settings.run)),
      origin(R"(},"ecs":{"version":"8.17.0"})" + static_members),
      labels(settings.label_names) {
    for (std::size_t kind = 0; kind < line_kinds; ++kind) {
        kinds[kind] = kind_text(kind_words[kind]);
    }
    networks.reserve(512);
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        for (unsigned protocol = 0; protocol < 256; ++protocol) {
            networks.push_back(network_text(family, protocol));
        }
    }
}

}  // namespace flowkin
