// SPDX-License-Identifier: GPL-2.0-or-later
#include <ostream>

#include "ledger/story_telling.hpp"

/// A story for tools: what was found out about each flow, and the records themselves as the log has them.
namespace flowkin {

namespace {

using nlohmann::json;

std::string time_text(WallTime time) {
    const auto fraction = std::to_string((time - std::chrono::floor<seconds>(time)).count());
    return date_text(time) + 'T' + clock_text(time).substr(0, 9) + std::string(9 - fraction.size(), '0') +
           fraction + 'Z';
}

json end_json(const LogEnd& end, const LogEnd& nat, std::optional<std::uint64_t> packets,
              std::optional<std::uint64_t> bytes) {
    const auto plain = [](const LogEnd& one) {
        json object{{"ip", one.ip}};
        if (one.port) {
            object["port"] = *one.port;
        }
        return object;
    };
    json object = plain(end);
    if (nat.known()) {
        object["nat"] = plain(nat);
    }
    if (packets) {
        object["packets"] = *packets;
    }
    if (bytes) {
        object["bytes"] = *bytes;
    }
    return object;
}

json flow_json(const StoryFlow& flow) {
    json object{{"number", flow.number}, {"asked_for", flow.asked_for}};
    const auto put = [&object](const char* key, const std::string& text) {
        if (!text.empty()) {
            object[key] = text;
        }
    };
    if (flow.uid) {
        object["uid"] = uid_text(*flow.uid);
    }
    if (flow.parent) {
        object["parent"] = uid_text(*flow.parent);
    }
    if (flow.kernel_id) {
        object["id"] = *flow.kernel_id;
    }
    put("host", flow.host);
    put("transport", flow.transport);
    put("community_id", flow.community_id);
    put("helper", flow.helper);
    if (!flow.seen) {
        return object;
    }
    if (flow.source.known()) {
        object["source"] = end_json(flow.source, flow.source_nat, flow.packets_out, flow.bytes_out);
    }
    if (flow.destination.known()) {
        object["destination"] =
            end_json(flow.destination, flow.destination_nat, flow.packets_back, flow.bytes_back);
    }
    if (flow.mark) {
        object["mark"] = *flow.mark;
    }
    put("mark_origin", flow.mark_origin);
    if (flow.refused && !flow.uid) {
        object["refused"] = true;
    }
    if (flow.life.start && flow.uid) {
        object["start"] = time_text(*flow.life.start);
    }
    if (flow.life.ended) {
        object["end"] = time_text(flow.life.last);
    }
    put("reason", flow.reason);
    put("outcome", flow.outcome);
    return object;
}

json story_json(const Story& story) {
    json flows = json::array();
    for (const StoryFlow& flow : story.flows()) {
        flows.push_back(flow_json(flow));
    }
    json records = json::array();
    for (const StoryLine& line : story.lines()) {
        if (const auto record = RecordFields::parse(line.text)) {
            records.push_back(record->object());
        }
    }
    return {{"flows", flows}, {"records", records}, {"records_left_out", story.lines_left_out()}};
}

}  // namespace

void write_story_json(const StoryAnswer& answer, std::ostream& out) {
    json question{{"what", answer.question.what}};
    if (!answer.question.at.empty()) {
        question["at"] = answer.question.at;
    }
    json stories = json::array();
    for (const Story& story : answer.stories) {
        stories.push_back(story_json(story));
    }
    const json object{{"question", question},
                      {"matches", answer.matches},
                      {"matches_complete", !answer.search_was_full},
                      {"stories", stories},
                      {"stories_left_out", answer.stories_left_out}};
    out << object.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
}

}  // namespace flowkin
