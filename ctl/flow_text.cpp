// SPDX-License-Identifier: GPL-2.0-or-later
#include "flow_text.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

#include "quantity_text.hpp"

namespace flowkin {
namespace {

using nlohmann::json;

/// The member at the end of a path; null where there is none.
const json& at(const json& object, std::initializer_list<const char*> path) {
    static const json nothing;
    const json* found = &object;
    for (const char* name : path) {
        const auto member = found->is_object() ? found->find(name) : found->end();
        if (!found->is_object() || member == found->end()) {
            return nothing;
        }
        found = &*member;
    }
    return *found;
}

std::string text_of(const json& value) {
    if (value.is_string()) {
        return printable(value.get_ref<const std::string&>());
    }
    return value.is_number() ? value.dump() : std::string();
}

/// "10.1.0.2:21", "[fd01::2]:21"
std::string end_text(const json& end) {
    std::string ip = text_of(at(end, {"ip"}));
    const std::string port = text_of(at(end, {"port"}));
    if (port.empty()) {
        return ip;
    }
    return (ip.find(':') == std::string::npos ? ip : '[' + ip + ']') + ':' + port;
}

std::string protocol_text(const json& flow) {
    const std::string name = text_of(at(flow, {"network", "transport"}));
    return name.empty() ? text_of(at(flow, {"network", "iana_number"})) : name;
}

std::string state_text(const json& flow) {
    for (const char* protocol : {"tcp", "sctp", "dccp"}) {
        if (std::string state = text_of(at(flow, {"conntrack", protocol, "state"})); !state.empty()) {
            return state;
        }
    }
    return {};
}

std::string hex_text(std::uint64_t value) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
    return text.data();
}

/// "0x11 inherited"; empty for a mark of 0 that nobody set.
std::string mark_text(const json& flow) {
    const json& mark = at(flow, {"conntrack", "mark"});
    const std::string origin = text_of(at(flow, {"conntrack", "mark_origin"}));
    if (!mark.is_number_unsigned() || (mark.get<std::uint64_t>() == 0 && origin.empty())) {
        return {};
    }
    return hex_text(mark.get<std::uint64_t>()) + (origin.empty() ? "" : ' ' + origin);
}

/// A list that grows by what is there.
class Notes {
  public:
    void add(std::string_view name, const std::string& value) {
        if (!value.empty()) {
            text_ += (text_.empty() ? "" : ", ") + std::string(name) + value;
        }
    }
    std::string text() const { return text_; }

  private:
    std::string text_;
};

std::string parent_text(const json& flow) {
    const json& parent = at(flow, {"conntrack", "parent"});
    const json& tuple = at(parent, {"tuple"});
    return tuple.is_object() ? end_text(at(tuple, {"source"})) + " → " + end_text(at(tuple, {"destination"}))
                             : text_of(at(parent, {"uid"}));
}

/// What few flows have.
void add_rare(Notes& notes, const json& flow) {
    notes.add("source as ", end_text(at(flow, {"source", "nat"})));
    notes.add("destination as ", end_text(at(flow, {"destination", "nat"})));
    notes.add("helper ", text_of(at(flow, {"conntrack", "helper"})));
    notes.add("zone ", text_of(at(flow, {"conntrack", "zone"})));
}

/// Columns of a fixed width, so that a row can be written before the next is known; a longer text takes the
/// room that it needs.
std::string columns(std::initializer_list<std::string_view> texts) {
    constexpr std::array<std::size_t, 7> widths = {32, 9, 21, 21, 11, 15, 0};
    std::string row;
    std::size_t column = 0;
    for (const std::string_view text : texts) {
        row += text;
        const std::size_t width = widths[column++];
        row.append(text.size() < width ? width - text.size() : 0, ' ');
        row += "  ";
    }
    row.resize(row.find_last_not_of(' ') + 1);
    return row;
}

}  // namespace

std::string flow_table_head() {
    return columns({"UID", "PROTOCOL", "SOURCE", "DESTINATION", "STATE", "MARK", "MORE"});
}

std::string flow_row(const json& flow) {
    Notes notes;
    add_rare(notes, flow);
    notes.add("child of ", parent_text(flow));
    const std::string depth = text_of(at(flow, {"conntrack", "lineage", "depth"}));
    if (depth != "1") {
        notes.add("depth ", depth);
        notes.add("root ", text_of(at(flow, {"conntrack", "lineage", "root"})));
    }
    return columns({flow_uid(flow), protocol_text(flow), end_text(at(flow, {"source"})),
                    end_text(at(flow, {"destination"})), state_text(flow), mark_text(flow), notes.text()});
}

std::string flow_label(const json& flow) {
    Notes notes;
    notes.add("", state_text(flow));
    notes.add("mark ", mark_text(flow));
    add_rare(notes, flow);
    return flow_uid(flow) + "  " + protocol_text(flow) + ' ' + end_text(at(flow, {"source"})) + " → " +
           end_text(at(flow, {"destination"})) + (notes.text().empty() ? "" : "  " + notes.text());
}

std::string flow_uid(const json& flow) {
    return text_of(at(flow, {"conntrack", "uid"}));
}

std::string flow_parent_uid(const json& flow) {
    return text_of(at(flow, {"conntrack", "parent", "uid"}));
}

}  // namespace flowkin
