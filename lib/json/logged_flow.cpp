// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/logged_flow.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <string>

#include "json/uid_text.hpp"
#include "json/words.hpp"

namespace flowkin {

namespace {

using nlohmann::json;

/// The members of an object that may be missing or of another type: nothing here throws.
const json* member(const json& object, const char* key) {
    if (!object.is_object()) {
        return nullptr;
    }
    const auto at = object.find(key);
    return at != object.end() ? &*at : nullptr;
}

const json& object_at(const json& object, const char* key) {
    static const json nothing;
    const json* found = member(object, key);
    return found != nullptr && found->is_object() ? *found : nothing;
}

template <class T>
std::optional<T> number(const json& object, const char* key) {
    const json* found = member(object, key);
    if (found == nullptr || !found->is_number_unsigned() ||
        found->get<std::uint64_t>() > std::numeric_limits<T>::max()) {
        return std::nullopt;
    }
    return static_cast<T>(found->get<std::uint64_t>());
}

std::string_view text(const json& object, const char* key) {
    const json* found = member(object, key);
    return found != nullptr && found->is_string() ? std::string_view(found->get_ref<const std::string&>())
                                                  : std::string_view{};
}

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + count, value);
    return error == std::errc{} && end == text.data() + at + count ? std::optional(value) : std::nullopt;
}

/// 2026-11-23T09:15:02.123456789Z
std::optional<WallTime> time(std::string_view text) {
    if (text.size() != 30 || text[4] != '-' || text[10] != 'T' || text[19] != '.' || text[29] != 'Z') {
        return std::nullopt;
    }
    const auto year = digits(text, 0, 4);
    const auto month = digits(text, 5, 2);
    const auto day = digits(text, 8, 2);
    const auto hour = digits(text, 11, 2);
    const auto minute = digits(text, 14, 2);
    const auto second = digits(text, 17, 2);
    const auto fraction = digits(text, 20, 9);
    if (!year || !month || !day || !hour || !minute || !second || !fraction) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year(*year),
                                           std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok()) {
        return std::nullopt;
    }
    return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
           std::chrono::seconds(*second) + nanoseconds(*fraction);
}

bool address(std::string_view text, Family family, Address& into) {
    return ::inet_pton(family == Family::ipv4 ? AF_INET : AF_INET6, std::string(text).c_str(),
                       into.bytes.data()) == 1;
}

template <std::size_t count>
std::optional<std::size_t> place(const Words<count>& words, std::string_view word) {
    for (std::size_t i = 0; i < count; ++i) {
        if (!word.empty() && words.words[i] == word) {
            return i;
        }
    }
    return std::nullopt;
}

template <std::size_t count>
std::uint32_t bits(const json& list, const Words<count>& words) {
    std::uint32_t set = 0;
    if (list.is_array()) {
        for (const json& word : list) {
            if (const auto bit =
                    place(words, word.is_string() ? word.get_ref<const std::string&>() : std::string())) {
                set |= 1U << *bit;
            }
        }
    }
    return set;
}

bool read_side(const json& side, Family family, Address& ip, std::uint16_t& port, Address& nat_ip,
               std::uint16_t& nat_port) {
    if (!address(text(side, "ip"), family, ip)) {
        return false;
    }
    port = number<std::uint16_t>(side, "port").value_or(std::uint16_t{0});
    nat_ip = ip;
    nat_port = port;
    if (const json* nat = member(side, "nat"); nat != nullptr) {
        nat_port = number<std::uint16_t>(*nat, "port").value_or(port);
        return address(text(*nat, "ip"), family, nat_ip);
    }
    return true;
}

/// The tuples, from network, source, destination and what stands in for ports.
bool read_tuples(const json& line, const json& conntrack, FlowRecord& record) {
    Tuple& original = record.flow.key.original;
    const json& network = object_at(line, "network");
    original.family = text(network, "type") == "ipv6" ? Family::ipv6 : Family::ipv4;
    unsigned protocol = 0;
    const std::string_view iana = text(network, "iana_number");
    if (std::from_chars(iana.data(), iana.data() + iana.size(), protocol).ec != std::errc{} ||
        protocol > 255) {
        return false;
    }
    original.protocol = static_cast<Protocol>(protocol);
    Address source_nat;
    Address destination_nat;
    std::uint16_t source_nat_port = 0;
    std::uint16_t destination_nat_port = 0;
    if (!read_side(object_at(line, "source"), original.family, original.source, original.source_port,
                   source_nat, source_nat_port) ||
        !read_side(object_at(line, "destination"), original.family, original.destination,
                   original.destination_port, destination_nat, destination_nat_port)) {
        return false;
    }
    const json& icmp = object_at(conntrack, "icmp");
    const json& gre = object_at(conntrack, "gre");
    if (icmp.is_object()) {
        original.set_icmp({number<std::uint8_t>(icmp, "type").value_or(std::uint8_t{0}),
                           number<std::uint8_t>(icmp, "code").value_or(std::uint8_t{0}),
                           number<std::uint16_t>(icmp, "id").value_or(std::uint16_t{0})});
    } else if (gre.is_object()) {
        original.source_port = number<std::uint16_t>(gre, "source_key").value_or(std::uint16_t{0});
        original.destination_port = number<std::uint16_t>(gre, "destination_key").value_or(std::uint16_t{0});
    }
    Tuple reply = mirror(original);
    reply.destination = source_nat;
    reply.source = destination_nat;
    if (has_ports(original.protocol)) {
        reply.destination_port = source_nat_port;
        reply.source_port = destination_nat_port;
    }
    if (reply != mirror(original)) {
        record.reply = reply;
    }
    return true;
}

void read_counters(const json& line, Flow& flow) {
    const auto side = [&](const char* key, Counters& counters) {
        const json& object = object_at(line, key);
        const auto packets = number<std::uint64_t>(object, "packets");
        const auto bytes = number<std::uint64_t>(object, "bytes");
        if (packets && bytes) {
            counters = {*packets, *bytes};
            flow.has_counters = true;
        }
    };
    side("source", flow.original_counters);
    side("destination", flow.reply_counters);
}

void read_mark(const json& conntrack, Flow& flow) {
    flow.mark = number<Mark>(conntrack, "mark").value_or(0);
    flow.mark_origin =
        static_cast<MarkOrigin>(place(mark_origin_words, text(conntrack, "mark_origin")).value_or(0));
    flow.mark_previous = number<Mark>(conntrack, "mark_previous").value_or(0);
    flow.mark_changes = number<std::uint32_t>(conntrack, "mark_changes").value_or(0);
}

void read_state(const json& conntrack, Flow& flow) {
    flow.status.bits = 0;
    if (const json* status = member(conntrack, "status"); status != nullptr) {
        flow.status.bits = bits(*status, status_words);
    }
    const auto state = [&](const char* key, const auto& words) {
        if (const auto found = place(words, text(object_at(conntrack, key), "state"))) {
            flow.protocol_state = static_cast<std::uint8_t>(*found);
        }
    };
    state("tcp", tcp_state_words);
    state("sctp", sctp_state_words);
    state("dccp", dccp_state_words);
    if (const auto timeout = number<std::uint32_t>(conntrack, "timeout")) {
        flow.timeout_s = *timeout;
        flow.has_timeout = true;
    }
    if (const json* gaps = member(conntrack, "gaps"); gaps != nullptr) {
        flow.gaps.bits = static_cast<std::uint8_t>(bits(*gaps, gap_words));
    }
}

void read_tags(const json& conntrack, FlowRecord& record) {
    const std::string_view helper = text(conntrack, "helper");
    const json* labels = member(conntrack, "labels");
    if (helper.empty() && labels == nullptr) {
        return;
    }
    Tags& tags = record.tags.emplace();
    tags.helper = HelperName(helper);
    if (labels != nullptr && labels->is_array()) {
        for (const json& label : *labels) {
            if (label.is_number_unsigned() && label.get<std::uint64_t>() < 128) {
                const auto bit = label.get<std::uint64_t>();
                tags.labels.bytes[bit / 8] =
                    static_cast<std::uint8_t>(tags.labels.bytes[bit / 8] | 1U << (bit % 8));
            }
        }
    }
}

void read_lineage(const json& conntrack, FlowRecord& record) {
    const json& parent = object_at(conntrack, "parent");
    if (!parent.is_object()) {
        return;
    }
    Lineage& lineage = record.lineage.emplace();
    if (const auto parent_uid = read_uid(text(parent, "uid"))) {
        lineage.parent = *parent_uid;
        if (const auto id = number<KernelFlowId>(parent, "id")) {
            lineage.parent_kernel_id = *id;
            lineage.parent_has_kernel_id = true;
        }
        lineage.parent_helper = HelperName(text(parent, "helper"));
        const json& kin = object_at(conntrack, "lineage");
        lineage.root = read_uid(text(kin, "root")).value_or(*parent_uid);
        lineage.depth = number<std::uint32_t>(kin, "depth").value_or(1);
        return;
    }
    const json& tuple = object_at(parent, "tuple");
    Tuple& named = lineage.parent_tuple;
    named.family = record.flow.key.original.family;
    for (unsigned protocol = 0; protocol < 256; ++protocol) {
        if (transport_word(static_cast<Protocol>(protocol)) == text(tuple, "transport")) {
            named.protocol = static_cast<Protocol>(protocol);
        }
    }
    Address unused;
    std::uint16_t unused_port = 0;
    if (!read_side(object_at(tuple, "source"), named.family, named.source, named.source_port, unused,
                   unused_port) ||
        !read_side(object_at(tuple, "destination"), named.family, named.destination, named.destination_port,
                   unused, unused_port)) {
        record.lineage.reset();
    }
}

bool read_flow(const json& line, const json& event, const json& conntrack, LoggedLine& logged) {
    FlowRecord& record = logged.record;
    Flow& flow = record.flow;
    if (!read_tuples(line, conntrack, record)) {
        return false;
    }
    flow.key.zone.id = number<std::uint16_t>(conntrack, "zone").value_or(std::uint16_t{0});
    flow.key.zone.direction = static_cast<ZoneDirection>(
        place(zone_direction_words, text(conntrack, "zone_direction")).value_or(0));
    if (const auto id = number<KernelFlowId>(conntrack, "id")) {
        flow.kernel_id = *id;
        flow.has_kernel_id = true;
    }
    flow.last_seen = logged.at;
    if (const auto start = time(text(event, "start"))) {
        flow.started = *start;
        flow.has_start = true;
    } else if (text(event, "action") == "flow-start") {
        flow.started = logged.at;
        flow.has_start = true;
    }
    read_counters(line, flow);
    read_mark(conntrack, flow);
    read_state(conntrack, flow);
    read_tags(conntrack, record);
    read_lineage(conntrack, record);
    return true;
}

}  // namespace

std::optional<LoggedLine> read_logged_line(std::string_view line) {
    const json read = json::parse(line, nullptr, false);
    const json& event = object_at(read, "event");
    const json& conntrack = object_at(read, "conntrack");
    LoggedLine logged;
    const std::string_view id = text(event, "id");
    const auto sequence = number<std::uint64_t>(event, "sequence");
    const auto at = time(text(read, "@timestamp"));
    const auto run = read_run(id.substr(0, std::min<std::size_t>(id.size(), 16)));
    if (id.size() != 32 || !sequence || !at || !run) {
        return std::nullopt;
    }
    logged.run = *run;
    logged.sequence = *sequence;
    logged.at = *at;
    const std::string_view action = text(event, "action");
    if (text(event, "dataset") == "flowkin.flow") {
        const auto flow = read_uid(text(conntrack, "uid"));
        if (!flow) {
            return std::nullopt;
        }
        logged.record.flow.uid = *flow;
        logged.what = action == "flow-end" ? LoggedLine::What::flow_end : LoggedLine::What::flow;
        logged.heard = text(conntrack, "observed") == observed_words[Observed::event];
        if (!read_flow(read, event, conntrack, logged)) {
            return std::nullopt;
        }
    } else if (action == "events-lost") {
        const json& loss = object_at(conntrack, "loss");
        if (text(loss, "where") == "kernel-socket" && !loss.contains("source")) {
            logged.what = LoggedLine::What::kernel_loss;
            logged.lost = number<std::uint64_t>(loss, "count").value_or(0);
        }
    } else if (action == "monitor-start") {
        const json& monitor = object_at(conntrack, "monitor");
        logged.what = LoggedLine::What::start;
        logged.start = static_cast<StartState>(place(start_state_words, text(monitor, "state")).value_or(0));
        logged.previous_run = read_run(text(monitor, "previous_run"));
    } else if (action == "monitor-stop") {
        logged.what = LoggedLine::What::stop;
    }
    return logged;
}

}  // namespace flowkin
