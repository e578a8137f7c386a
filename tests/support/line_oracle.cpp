// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/line_oracle.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>
#include <string>
#include <vector>

namespace flowkin {
namespace {

using nlohmann::json;

// --- values
// -------------------------------------------------------------------------------------------------------

json number(std::uint64_t value) {
    return std::min<std::uint64_t>(value, INT64_MAX);
}

template <class... Arguments>
std::string formatted(const char* format, Arguments... arguments) {
    std::array<char, 128> text{};
    const int length = std::snprintf(text.data(), text.size(), format, arguments...);
    return {text.data(), static_cast<std::size_t>(length)};
}

std::string hex(std::uint64_t value) {
    return formatted("%016lx", static_cast<unsigned long>(value));
}

std::string uid(FlowUid uid) {
    return hex(uid.run) + hex(uid.counter);
}

std::string time(WallTime time) {
    const auto second = std::chrono::floor<seconds>(time);
    const std::time_t clock = second.time_since_epoch().count();
    std::tm parts{};
    gmtime_r(&clock, &parts);
    std::array<char, 64> text{};
    (void)std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    // Not `time - second`, which overflows in the first second that WallTime can tell.
    const std::int64_t rest = time.time_since_epoch().count() % 1'000'000'000;
    return text.data() + formatted(".%09ldZ", static_cast<long>(rest < 0 ? rest + 1'000'000'000 : rest));
}

std::string ip(const Address& address, Family family) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family == Family::ipv4 ? AF_INET : AF_INET6, address.bytes.data(), text.data(), text.size());
    return text.data();
}

/// The text as valid UTF-8, by nlohmann_json's own way of replacing what is not.
json text(std::string_view bytes) {
    return json::parse(json(bytes).dump(-1, ' ', false, json::error_handler_t::replace));
}

json list_of_bits(std::uint32_t bits, const std::vector<const char*>& words) {
    json list = json::array();
    for (std::size_t bit = 0; bit < words.size(); ++bit) {
        if ((bits >> bit & 1U) != 0 && *words[bit] != '\0') {
            list.push_back(words[bit]);
        }
    }
    return list;
}

void set_unless_empty(json& object, const char* name, const json& value) {
    if (!value.empty()) {
        object[name] = value;
    }
}

std::string transport(Protocol protocol) {
    static const std::map<int, const char*> names{{0, "hopopt"},
                                                  {1, "icmp"},
                                                  {2, "igmp"},
                                                  {4, "ipv4"},
                                                  {6, "tcp"},
                                                  {8, "egp"},
                                                  {17, "udp"},
                                                  {27, "rdp"},
                                                  {33, "dccp"},
                                                  {41, "ipv6"},
                                                  {43, "ipv6-route"},
                                                  {44, "ipv6-frag"},
                                                  {46, "rsvp"},
                                                  {47, "gre"},
                                                  {50, "esp"},
                                                  {51, "ah"},
                                                  {58, "ipv6-icmp"},
                                                  {59, "ipv6-nonxt"},
                                                  {60, "ipv6-opts"},
                                                  {88, "eigrp"},
                                                  {89, "ospf"},
                                                  {94, "ipip"},
                                                  {97, "etherip"},
                                                  {98, "encap"},
                                                  {103, "pim"},
                                                  {108, "ipcomp"},
                                                  {112, "vrrp"},
                                                  {115, "l2tp"},
                                                  {124, "isis"},
                                                  {132, "sctp"},
                                                  {135, "mobility-header"},
                                                  {136, "udplite"},
                                                  {137, "mpls-in-ip"},
                                                  {139, "hip"},
                                                  {140, "shim6"}};
    const auto name = names.find(static_cast<int>(protocol));
    return name == names.end() ? "" : name->second;
}

bool ports(Protocol protocol) {
    const std::string name = transport(protocol);
    return name == "tcp" || name == "udp" || name == "udplite" || name == "sctp" || name == "dccp";
}

bool icmp(Protocol protocol) {
    return transport(protocol) == "icmp" || transport(protocol) == "ipv6-icmp";
}

// --- Community ID
// -------------------------------------------------------------------------------------------------

std::string sha1(std::string message) {
    const std::size_t bits = message.size() * 8;
    message += '\x80';
    message.resize(62, '\0');
    message += static_cast<char>(bits >> 8);
    message += static_cast<char>(bits & 0xffU);
    const auto rotated = [](std::uint32_t word, unsigned by) { return word << by | word >> (32 - by); };
    std::vector<std::uint32_t> w;
    for (std::size_t t = 0; t < 80; ++t) {
        if (t < 16) {
            std::uint32_t word = 0;
            for (std::size_t byte = 0; byte < 4; ++byte) {
                word = word << 8 | static_cast<std::uint8_t>(message[4 * t + byte]);
            }
            w.push_back(word);
        } else {
            w.push_back(rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1));
        }
    }
    std::array<std::uint32_t, 5> h{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    std::array<std::uint32_t, 5> s = h;
    for (std::size_t t = 0; t < 80; ++t) {
        const std::uint32_t f = t < 20              ? (s[1] & s[2]) | (~s[1] & s[3])
                                : t < 40 || t >= 60 ? s[1] ^ s[2] ^ s[3]
                                                    : (s[1] & s[2]) | (s[1] & s[3]) | (s[2] & s[3]);
        constexpr std::array<std::uint32_t, 4> k{0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
        const std::uint32_t next = rotated(s[0], 5) + f + s[4] + k[t / 20] + w[t];
        s = {next, s[0], rotated(s[1], 30), s[2], s[3]};
    }
    std::string digest;
    for (std::size_t i = 0; i < 5; ++i) {
        for (unsigned shift : {24U, 16U, 8U, 0U}) {
            digest += static_cast<char>((h[i] + s[i]) >> shift & 0xffU);
        }
    }
    return digest;
}

std::string base64(std::string bytes) {
    const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t padding = (3 - bytes.size() % 3) % 3;
    bytes.append(padding, '\0');
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t bits = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            bits = bits << 8 | static_cast<std::uint8_t>(bytes[i + j]);
        }
        for (unsigned shift : {18U, 12U, 6U, 0U}) {
            text += alphabet[bits >> shift & 0x3fU];
        }
    }
    text.replace(text.size() - padding, padding, padding, '=');
    return text;
}

std::string two_bytes(unsigned value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xffU)};
}

std::string community_id(const Tuple& tuple) {
    const auto bytes_of = [&](const Address& address) {
        return std::string(address.bytes.begin(),
                           address.bytes.begin() + (tuple.family == Family::ipv4 ? 4 : 16));
    };
    std::string a = bytes_of(tuple.source);
    std::string b = bytes_of(tuple.destination);
    std::string port_a;
    std::string port_b;
    bool one_way = false;
    const std::string name = transport(tuple.protocol);
    if (name == "tcp" || name == "udp" || name == "sctp") {
        port_a = two_bytes(tuple.source_port);
        port_b = two_bytes(tuple.destination_port);
    } else if (icmp(tuple.protocol)) {
        static const std::map<int, int> v4{{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}};
        static const std::map<int, int> v6{{128, 129}, {130, 131}, {133, 134},
                                           {135, 136}, {139, 140}, {144, 145}};
        const int type = tuple.destination_port >> 8;
        int second = tuple.destination_port & 0xff;
        one_way = true;
        for (const auto& [question, answer] : name == "icmp" ? v4 : v6) {
            if (type == question || type == answer) {
                one_way = false;
                second = type == question ? answer : question;
            }
        }
        port_a = two_bytes(static_cast<unsigned>(type));
        port_b = two_bytes(static_cast<unsigned>(second));
    }
    if (!one_way && b + port_b < a + port_a) {
        std::swap(a, b);
        std::swap(port_a, port_b);
    }
    return "1:" + base64(sha1(std::string(2, '\0') + a + b + static_cast<char>(tuple.protocol) + '\0' +
                              port_a + port_b));
}

// --- members of flow and expectation records
// ----------------------------------------------------------------------

json endpoint(const Address& address, std::uint16_t port, const Tuple& tuple) {
    json end = {{"ip", ip(address, tuple.family)}};
    if (ports(tuple.protocol)) {
        end["port"] = port;
    }
    return end;
}

json counters(Counters counters) {
    return {{"packets", number(counters.packets)}, {"bytes", number(counters.bytes)}};
}

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
    return a + b < a ? UINT64_MAX : a + b;
}

json gre(const Tuple& tuple) {
    return {{"source_key", tuple.source_port}, {"destination_key", tuple.destination_port}};
}

json labels(const Labels& labels, const std::map<unsigned, std::string>& names) {
    std::size_t bytes = 1;
    for (unsigned bit = 0; bit < 128; ++bit) {
        bytes += labels.has(bit) ? std::to_string(bit).size() + 1 : 0;
    }
    json list = json::array();
    for (unsigned bit = 0; bit < 128; ++bit) {
        if (!labels.has(bit)) {
            continue;
        }
        list.push_back(bit);
        if (const auto name = names.find(bit); name != names.end()) {
            // Any control character is \u00XX in the log, which is longer than what dump() may write.
            std::size_t name_bytes = 2;
            const std::string valid = text(name->second);
            for (const char c : valid) {
                name_bytes += static_cast<unsigned char>(c) < 0x20 ? 6 : c == '"' || c == '\\' ? 2 : 1;
            }
            const std::size_t longer = bytes - std::to_string(bit).size() + name_bytes;
            if (longer <= 416) {
                bytes = longer;
                list.back() = valid;
            }
        }
    }
    return list;
}

void add_zone(json& conntrack, Zone zone) {
    if (zone.id != 0) {
        conntrack["zone"] = zone.id;
        if (zone.direction != ZoneDirection::both) {
            conntrack["zone_direction"] = zone.direction == ZoneDirection::original ? "original" : "reply";
        }
    }
}

void add_kin(json& conntrack, const Lineage& lineage, const Tuple& tuple) {
    json& parent = conntrack["parent"];
    if (lineage.parent.counter != 0) {
        parent["uid"] = uid(lineage.parent);
        if (lineage.parent_has_kernel_id) {
            parent["id"] = lineage.parent_kernel_id;
        }
        if (!lineage.parent_helper.empty()) {
            parent["helper"] = text(lineage.parent_helper.view());
        }
    } else {
        parent["tuple"]["source"] = endpoint(tuple.source, tuple.source_port, tuple);
        parent["tuple"]["destination"] = endpoint(tuple.destination, tuple.destination_port, tuple);
        if (!transport(tuple.protocol).empty()) {
            parent["tuple"]["transport"] = transport(tuple.protocol);
        }
    }
    if (lineage.root.counter != 0) {
        conntrack["lineage"] = {{"root", uid(lineage.root)}, {"depth", lineage.depth}};
    }
}

json network(const Tuple& tuple) {
    json object = {{"type", tuple.family == Family::ipv4 ? "ipv4" : "ipv6"},
                   {"iana_number", std::to_string(static_cast<int>(tuple.protocol))}};
    if (!transport(tuple.protocol).empty()) {
        object["transport"] = transport(tuple.protocol);
    }
    return object;
}

json head(const LineEncoderSettings& settings, WallTime at, const std::string& dataset,
          const std::string& action, std::uint64_t sequence) {
    json line;
    for (const auto& [path, value] : settings.fields) {
        std::string pointer = "/" + path;
        std::replace(pointer.begin(), pointer.end(), '.', '/');
        line[json::json_pointer(pointer)] = text(value);
    }
    line["@timestamp"] = time(at);
    line["ecs"]["version"] = "8.17.0";
    line["host"]["name"] = text(settings.host_name);
    line["event"] = {{"module", "flowkin"},
                     {"dataset", "flowkin." + dataset},
                     {"kind", dataset == "loss"           ? "pipeline_error"
                              : action == "monitor-stats" ? "metric"
                                                          : "event"},
                     {"action", action},
                     {"id", hex(settings.run) + hex(sequence)},
                     {"sequence", number(sequence)}};
    if (dataset == "flow" || dataset == "expectation" || dataset == "packet") {
        const bool denied = action == "packet-rejected" || action == "packet-invalid";
        line["event"]["category"] = {"network"};
        line["event"]["type"] = {"connection", action == "flow-start" ? "start"
                                               : action == "flow-end" ? "end"
                                               : denied               ? "denied"
                                                                      : "info"};
    } else {
        line["event"]["type"] = {"info"};
    }
    return line;
}

// --- flow records
// -------------------------------------------------------------------------------------------------

const char* action_of(FlowAction action) {
    constexpr std::array<const char*, 6> names{"flow-start",        "flow-seen",   "flow-update",
                                               "flow-mark-changed", "flow-active", "flow-end"};
    return names[static_cast<std::size_t>(action)];
}

json state_of(const Flow& flow) {
    static const std::map<std::string, std::vector<const char*>> states{
        {"tcp",
         {"", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
          "CLOSE", "SYN_SENT2"}},
        {"sctp",
         {"", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
          "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}},
        {"dccp",
         {"", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE",
          "INVALID"}}};
    const auto names = states.find(transport(flow.key.original.protocol));
    const std::size_t state = flow.protocol_state;
    return state == 0 || names == states.end() || state >= names->second.size() ? json()
                                                                                : names->second[state];
}

void add_nat(json& side, const Address& address, std::uint16_t port, const Address& translated_address,
             std::uint16_t translated_port, const Tuple& tuple) {
    const json own = endpoint(address, port, tuple);
    const json translated = endpoint(translated_address, translated_port, tuple);
    if (own != translated) {
        side["nat"] = translated;
    }
}

void add_reply(json& conntrack, const Tuple& original, const Tuple& reply) {
    conntrack["reply"]["community_id"] = community_id(reply);
    if (icmp(original.protocol) && original.source_port != reply.source_port) {
        conntrack["reply"]["icmp"]["id"] = reply.source_port;
    }
    Tuple back = reply;
    std::swap(back.source_port, back.destination_port);
    if (transport(original.protocol) == "gre" && gre(back) != gre(original)) {
        conntrack["reply"]["gre"] = gre(reply);
    }
}

void add_end(json& line, const FlowEvent& event) {
    constexpr std::array<const char*, 7> reasons{"tcp-close", "tcp-reset", "timeout", "unreplied",
                                                 "deleted",   "vanished",  "replaced"};
    constexpr std::array<const char*, 3> outcomes{"unknown", "success", "failure"};
    const FlowEnd& end = event.end;
    line["event"]["reason"] = reasons[static_cast<std::size_t>(end.reason)];
    line["event"]["outcome"] = outcomes[static_cast<std::size_t>(end.outcome)];
    if (end.ended) {
        line["event"]["end"] = time(*end.ended);
        if (event.view.flow->has_start && *end.ended >= event.view.flow->started) {
            line["event"]["duration"] =
                number(static_cast<std::uint64_t>(end.ended->time_since_epoch().count()) -
                       static_cast<std::uint64_t>(event.view.flow->started.time_since_epoch().count()));
        }
    }
    if (end.window) {
        line["conntrack"]["end_window"] = {time(end.window->earliest), time(end.window->latest)};
    }
    if (end.deleted_by) {
        line["conntrack"]["deleted_by"] = *end.deleted_by;
    }
    if (event.view.marks != nullptr) {
        for (std::size_t place = 0; place < event.view.marks->count; ++place) {
            const auto& entry = event.view.marks->entries[place];
            line["conntrack"]["marks"].push_back({{"mark", entry.mark}, {"since", time(entry.since)}});
        }
    }
}

void add_conntrack(json& conntrack, const FlowEvent& event, const LineEncoderSettings& settings) {
    constexpr std::array<const char*, 4> origins{"", "inherited", "rule", "diverged"};
    constexpr std::array<const char*, 3> observations{"event", "dump", "reconcile"};
    const Flow& flow = *event.view.flow;
    const Tuple& original = flow.key.original;
    conntrack["uid"] = uid(flow.uid);
    if (flow.has_kernel_id) {
        conntrack["id"] = flow.kernel_id;
    }
    add_zone(conntrack, flow.key.zone);
    conntrack["mark"] = flow.mark;
    if (flow.mark_origin != MarkOrigin::none) {
        conntrack["mark_origin"] = origins[static_cast<std::size_t>(flow.mark_origin)];
    }
    if (flow.mark_changes != 0) {
        conntrack["mark_previous"] = flow.mark_previous;
        conntrack["mark_changes"] = flow.mark_changes;
    }
    set_unless_empty(
        conntrack, "status",
        list_of_bits(flow.status.bits,
                     {"expected", "seen_reply", "assured", "confirmed", "snat", "dnat", "seq_adjust", "", "",
                      "dying", "fixed_timeout", "template", "untracked", "helper", "offload", "hw_offload"}));
    if (icmp(original.protocol)) {
        conntrack["icmp"] = {{"type", original.destination_port / 256},
                             {"code", original.destination_port % 256},
                             {"id", original.source_port}};
    }
    if (transport(original.protocol) == "gre") {
        conntrack["gre"] = gre(original);
    }
    if (const json state = state_of(flow); !state.is_null()) {
        conntrack[transport(original.protocol)]["state"] = state;
    }
    if (const Tags* tags = event.view.tags; tags != nullptr) {
        set_unless_empty(conntrack, "labels", labels(tags->labels, settings.label_names));
        if (!tags->helper.empty()) {
            conntrack["helper"] = text(tags->helper.view());
        }
    }
    if (flow.has_timeout && event.action != FlowAction::end && event.action != FlowAction::active) {
        conntrack["timeout"] = flow.timeout_s;
    }
    if (event.view.lineage != nullptr) {
        add_kin(conntrack, *event.view.lineage, event.view.lineage->parent_tuple);
    }
    if (event.view.reply != nullptr) {
        add_reply(conntrack, original, *event.view.reply);
    }
    conntrack["observed"] = observations[static_cast<std::size_t>(event.observed)];
    set_unless_empty(
        conntrack, "gaps",
        list_of_bits(flow.gaps.bits, {"start-unseen", "updates-lost", "accounting-off", "timestamps-off",
                                      "counters-reset", "end-time-unknown", "table-full"}));
    if (event.action == FlowAction::update || event.action == FlowAction::mark_changed) {
        const std::string name = transport(original.protocol);
        const std::string state = name == "tcp" || name == "sctp" || name == "dccp" ? name + ".state" : "";
        set_unless_empty(conntrack, "changed",
                         list_of_bits(event.changed.bits, {"mark", "status", state.c_str(), "labels",
                                                           "helper", "timeout", "reply"}));
    }
    if (event.delta && (event.action == FlowAction::active || event.action == FlowAction::end)) {
        conntrack["delta"] = {{"source", counters(event.delta->original)},
                              {"destination", counters(event.delta->reply)},
                              {"interval", event.delta->interval.count()}};
    }
}

json line_of(const FlowEvent& event, const LineEncoderSettings& settings, std::uint64_t sequence) {
    const Flow& flow = *event.view.flow;
    const Tuple& original = flow.key.original;
    json line = head(settings, event.at, "flow", action_of(event.action), sequence);
    line["network"] = network(original);
    line["network"]["community_id"] = community_id(original);
    line["source"] = endpoint(original.source, original.source_port, original);
    line["destination"] = endpoint(original.destination, original.destination_port, original);
    const bool summary = event.action == FlowAction::seen || event.action == FlowAction::active ||
                         event.action == FlowAction::end;
    if (summary && flow.has_counters) {
        line["network"].update(counters({sum(flow.original_counters.packets, flow.reply_counters.packets),
                                         sum(flow.original_counters.bytes, flow.reply_counters.bytes)}));
        line["source"].update(counters(flow.original_counters));
        line["destination"].update(counters(flow.reply_counters));
    }
    if (summary && flow.has_start) {
        line["event"]["start"] = time(flow.started);
    }
    if (const Tuple* reply = event.view.reply; reply != nullptr) {
        add_nat(line["source"], original.source, original.source_port, reply->destination,
                reply->destination_port, original);
        add_nat(line["destination"], original.destination, original.destination_port, reply->source,
                reply->source_port, original);
    }
    add_conntrack(line["conntrack"], event, settings);
    if (event.action == FlowAction::end) {
        add_end(line, event);
    }
    return line;
}

// --- the other records
// --------------------------------------------------------------------------------------------

json line_of(const ExpectationEvent& event, const LineEncoderSettings& settings, std::uint64_t sequence) {
    constexpr std::array<const char*, 3> actions{"expectation-created", "expectation-fulfilled",
                                                 "expectation-ended"};
    const ExpectationMessage& said = *event.expectation;
    const Tuple& expected = said.expected;
    const Tuple& mask = said.mask;
    const Address none;
    Address all;
    std::fill_n(all.bytes.begin(), expected.family == Family::ipv4 ? 4 : 16, std::uint8_t{255});
    const auto full = [&](Address address) {
        if (expected.family == Family::ipv4) {
            std::fill(address.bytes.begin() + 4, address.bytes.end(), std::uint8_t{0});
        }
        return address == all;
    };

    json line =
        head(settings, event.at, "expectation", actions[static_cast<std::size_t>(event.action)], sequence);
    line["network"] = network(expected);
    const bool needs_ports = ports(expected.protocol) || icmp(expected.protocol);
    if (full(mask.source) && full(mask.destination) &&
        (!needs_ports || (mask.source_port == 65535 && mask.destination_port == 65535))) {
        line["network"]["community_id"] = community_id(expected);
    }
    if (mask.source != none) {
        line["source"]["ip"] = ip(expected.source, expected.family);
    }
    if (mask.destination != none) {
        line["destination"]["ip"] = ip(expected.destination, expected.family);
    }
    json& conntrack = line["conntrack"];
    const bool is_gre = transport(expected.protocol) == "gre";
    if (mask.source_port != 0 && ports(expected.protocol)) {
        line["source"]["port"] = expected.source_port;
    }
    if (mask.source_port != 0 && is_gre) {
        conntrack["gre"]["source_key"] = expected.source_port;
    }
    if (mask.destination_port != 0 && ports(expected.protocol)) {
        line["destination"]["port"] = expected.destination_port;
    }
    if (mask.destination_port != 0 && is_gre) {
        conntrack["gre"]["destination_key"] = expected.destination_port;
    }
    json& expectation = conntrack["expectation"];
    expectation["id"] = said.id;
    if (said.timeout_s) {
        expectation["timeout"] = *said.timeout_s;
    }
    if (said.expectation_class) {
        expectation["class"] = *said.expectation_class;
    }
    set_unless_empty(expectation, "flags",
                     list_of_bits(said.flags.value_or(0), {"permanent", "inactive", "userspace"}));
    if (said.helper && !said.helper->empty()) {
        expectation["helper"] = text(said.helper->view());
    }
    if (event.action == ExpectationAction::fulfilled && event.child.counter != 0) {
        expectation["child"] = uid(event.child);
    }
    add_zone(conntrack, said.zone);
    add_kin(conntrack, event.lineage, said.master);
    return line;
}

// --- packet records
// -----------------------------------------------------------------------------------------------

/// As the log writes it: cut where it would be longer than 254 bytes.
json prefix_text(std::string_view prefix) {
    const auto length = [](const std::string& valid) {
        std::size_t bytes = 0;
        for (const char c : valid) {
            bytes += static_cast<unsigned char>(c) < 0x20 ? 6 : c == '"' || c == '\\' ? 2 : 1;
        }
        return bytes;
    };
    json valid = text(prefix);
    while (length(valid) > 254) {
        prefix.remove_suffix(1);
        valid = text(prefix);
    }
    return valid;
}

json packet_end(const Address& address, std::uint16_t port, const PacketHeaders& headers) {
    json end = endpoint(address, port, headers.tuple);
    if (!headers.whole) {
        end.erase("port");
    }
    return end;
}

void add_ends(json& object, const PacketHeaders& headers) {
    object["source"] = packet_end(headers.tuple.source, headers.tuple.source_port, headers);
    object["destination"] = packet_end(headers.tuple.destination, headers.tuple.destination_port, headers);
}

json passage(const PacketMessage& packet, std::string_view in, std::string_view out) {
    constexpr std::array<const char*, 5> hooks{"prerouting", "input", "forward", "output", "postrouting"};
    json object = {{"length", packet.headers.length}};
    if (packet.hook) {
        object["hook"] = hooks[static_cast<std::size_t>(*packet.hook)];
    }
    if (!packet.prefix.empty()) {
        object["prefix"] = prefix_text(packet.prefix.view());
    }
    if (!in.empty()) {
        object["in"] = text(in);
    }
    if (!out.empty()) {
        object["out"] = text(out);
    }
    if (packet.headers.tcp_flags) {
        const unsigned bits = packet.headers.tcp_flags->bits;
        json flags = json::array();
        for (const auto& [bit, word] :
             {std::pair(1U, "syn"), std::pair(0U, "fin"), std::pair(2U, "rst"), std::pair(3U, "psh"),
              std::pair(4U, "ack"), std::pair(5U, "urg"), std::pair(6U, "ece"), std::pair(7U, "cwr")}) {
            if ((bits >> bit & 1U) != 0) {
                flags.push_back(word);
            }
        }
        set_unless_empty(object, "tcp_flags", flags);
    }
    if (packet.headers.whole && icmp(packet.headers.tuple.protocol)) {
        object["icmp"] = {{"type", packet.headers.tuple.destination_port >> 8},
                          {"code", packet.headers.tuple.destination_port & 0xff}};
    }
    return object;
}

json line_of(const PacketEvent& event, const LineEncoderSettings& settings, std::uint64_t sequence) {
    constexpr std::array<const char*, 5> actions{"packet-rejected", "packet-error", "packet-reset",
                                                 "packet-invalid", "packet-logged"};
    constexpr std::array<const char*, 5> states{"new", "established", "related", "invalid", "untracked"};
    constexpr std::array<const char*, 3> sources{"ct", "mark", "tuple"};
    const PacketMessage& said = *event.packet;
    json line = head(settings, event.at, "packet", actions[static_cast<std::size_t>(event.action)], sequence);
    if (event.action == PacketAction::rejected) {
        line["event"]["outcome"] = "failure";
    }
    line["network"] = network(said.headers.tuple);
    if (said.headers.whole) {
        line["network"]["community_id"] = community_id(said.headers.tuple);
    }
    add_ends(line, said.headers);
    json& conntrack = line["conntrack"];
    if (event.uid.counter != 0) {
        conntrack["uid"] = uid(event.uid);
    }
    if (event.id) {
        conntrack["id"] = *event.id;
    }
    if (event.unconfirmed) {
        conntrack["confirmed"] = false;
    }
    if (event.mark) {
        conntrack["mark"] = *event.mark;
    }
    add_zone(conntrack, event.zone);
    json& packet = conntrack["packet"];
    packet = passage(said, event.in, event.out);
    if (event.state) {
        packet["state"] = states[static_cast<std::size_t>(*event.state)];
    }
    if (event.direction) {
        packet["direction"] = *event.direction == PacketDirection::original ? "original" : "reply";
    }
    if (event.id_from) {
        packet["flow_id_from"] = sources[static_cast<std::size_t>(*event.id_from)];
    }
    if (said.about) {
        json& about = packet["about"];
        add_ends(about, *said.about);
        if (!transport(said.about->tuple.protocol).empty()) {
            about["transport"] = transport(said.about->tuple.protocol);
        }
        if (said.about->whole) {
            about["community_id"] = community_id(said.about->tuple);
        }
    }
    if (event.refused) {
        packet["refused"] = passage(*event.refused->packet, event.refused->in, event.refused->out);
        packet["refused"]["at"] = time(event.refused->at);
    }
    return line;
}

json line_of(const LossEvent& event, const LineEncoderSettings& settings, std::uint64_t sequence) {
    constexpr std::array<const char*, 4> places{"kernel-socket", "sink-queue", "sink-write", "decoder"};
    json line = head(settings, event.at, "loss", "events-lost", sequence);
    json& loss = line["conntrack"]["loss"];
    loss["where"] = places[static_cast<std::size_t>(event.place)];
    if (event.source == LossSource::packets) {
        loss["source"] = "packets";
    }
    if (event.count) {
        loss["count"] = number(*event.count);
    }
    if (event.first_sequence) {
        loss["first_sequence"] = number(*event.first_sequence);
    }
    if (event.last_sequence) {
        loss["last_sequence"] = number(*event.last_sequence);
    }
    if (event.since) {
        loss["since"] = time(*event.since);
    }
    if (event.until) {
        loss["until"] = time(*event.until);
    }
    if (!event.detail.empty()) {
        loss["detail"] = text(event.detail);
    }
    return line;
}

json texts(const std::vector<std::string>& values) {
    json list = json::array();
    for (const std::string& value : values) {
        list.push_back(text(value));
    }
    return list;
}

json counters(const MonitorCounters& counters) {
    json object = json::object();
    for (const auto& [name, value] : counters) {
        object[name] = number(value);
    }
    return object;
}

struct MonitorWords {
    std::string action;
    json conntrack;
};

MonitorWords words_of(const MonitorStart& start) {
    constexpr std::array<const char*, 3> states{"fresh", "restored", "inherited-socket"};
    json monitor = {{"version", text(start.version)},
                    {"run", hex(start.run)},
                    {"state", states[static_cast<std::size_t>(start.state)]}};
    if (start.previous_run) {
        monitor["previous_run"] = hex(*start.previous_run);
    }
    if (!start.kernel.empty()) {
        monitor["kernel"] = text(start.kernel);
    }
    const std::pair<const char*, std::optional<std::uint32_t>> settings[] = {
        {"acct", start.acct}, {"timestamp", start.timestamp}, {"events", start.events}};
    for (const auto& [name, value] : settings) {
        if (value) {
            monitor["settings"][name] = *value;
        }
    }
    if (start.receive_buffer_bytes) {
        monitor["receive_buffer"] = number(*start.receive_buffer_bytes);
    }
    set_unless_empty(monitor, "ignore", texts(start.ignore));
    set_unless_empty(monitor, "warnings", texts(start.warnings));
    return {"monitor-start", {{"monitor", monitor}}};
}

MonitorWords words_of(const MonitorReload& reload) {
    json monitor = json::object();
    monitor["applied"] = reload.applied;
    set_unless_empty(monitor, "changed", texts(reload.changed));
    set_unless_empty(monitor, "needs_restart", texts(reload.needs_restart));
    if (!reload.refused.empty()) {
        monitor["refused"] = text(reload.refused);
    }
    return {"monitor-reload", {{"monitor", monitor}}};
}

MonitorWords words_of(const MonitorStop& stop) {
    return {"monitor-stop",
            {{"monitor", {{"reason", text(stop.reason)}, {"totals", counters(stop.totals)}}}}};
}

MonitorWords words_of(const MonitorStats& stats) {
    json monitor = counters(stats.counters);
    monitor["interval"] = stats.interval.count();
    return {"monitor-stats", {{"monitor", monitor}}};
}

MonitorWords words_of(const MonitorWarning& warning) {
    return {"monitor-warning", {{"monitor", {{"code", text(warning.code)}, {"text", text(warning.text)}}}}};
}

MonitorWords words_of(const ResyncCompleted& resync) {
    constexpr std::array<const char*, 4> causes{"start", "overrun", "timer", "request"};
    return {"resync-completed",
            {{"resync",
              {{"cause", causes[static_cast<std::size_t>(resync.cause)]},
               {"dumped", number(resync.dumped)},
               {"discovered", number(resync.discovered)},
               {"ended", number(resync.ended)},
               {"unchanged", number(resync.unchanged)},
               {"duration", resync.duration.count()}}}}};
}

json line_of(const MonitorEvent& event, const LineEncoderSettings& settings, std::uint64_t sequence) {
    const MonitorWords words = std::visit([](const auto& what) { return words_of(what); }, event.what);
    json line = head(settings, event.at, "monitor", words.action, sequence);
    line["conntrack"] = words.conntrack;
    return line;
}

}  // namespace

json expected_line(const Event& event, const LineEncoderSettings& settings, std::uint64_t sequence) {
    return std::visit([&](const auto& what) { return line_of(what, settings, sequence); }, event);
}

}  // namespace flowkin
