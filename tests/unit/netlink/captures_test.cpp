// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/captures.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <regex>

#include "message_text.hpp"
#include "netlink/decode.hpp"

namespace flowkin::testing {
namespace {

std::string trimmed(const std::string& text) {
    const auto last = text.find_last_not_of(' ');
    return last == std::string::npos ? "" : text.substr(0, last + 1);
}

/// The state's number, from "tcp(state=SYN_SENT wso=0a …)".
std::string state_number(const std::string& protoinfo) {
    constexpr std::array<const char*, 10> states = {"NONE",     "SYN_SENT",   "SYN_RECV", "ESTABLISHED",
                                                    "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
                                                    "CLOSE",    "SYN_SENT2"};
    std::smatch match;
    REQUIRE(std::regex_search(protoinfo, match, std::regex("state=([A-Z_0-9]+)")));
    const auto* found = std::find(states.begin(), states.end(), match[1].str());
    REQUIRE(found != states.end());
    return std::to_string(found - states.begin());
}

/// A line of a .txt file: "#1 NEW af=2 fl=0x600 pid=0 TUPLE_ORIG={…} …". Keys are in capitals; what follows
/// up to the next key is the value.
MessageText parse_line(std::string line) {
    line = std::regex_replace(line, std::regex("^#[0-9]+ "), "");
    line = std::regex_replace(line, std::regex(" fl=0x[0-9a-f]+"), "");
    MessageText text;
    const std::regex key(" ([A-Z][A-Z_]+)=");
    std::string name;
    std::string::const_iterator start = line.begin();
    for (std::sregex_iterator found(line.begin(), line.end(), key), end; found != end; ++found) {
        text[name] = trimmed(std::string(start, (*found)[0].first));
        name = (*found)[1].str();
        start = (*found)[0].second;
    }
    text[name] = trimmed(std::string(start, line.cend()));

    text.erase("USE");
    if (text.contains("MARK") && text["MARK"] == "0x0") {
        text.erase("MARK");
    }
    if (text.contains("STATUS")) {
        text["STATUS"] = text["STATUS"].substr(0, text["STATUS"].find('('));
    }
    if (text.contains("PROTOINFO")) {
        text["STATE"] = state_number(text["PROTOINFO"]);
        text.erase("PROTOINFO");
    }
    return text;
}

TEST_CASE("every capture decodes as the text beside it says") {
    for (const auto& path : capture_paths()) {
        auto text_path = path;
        std::ifstream lines(text_path.replace_extension(".txt"));
        REQUIRE(lines);
        std::size_t messages = 0;
        const auto datagrams = read_capture(path);
        for (std::size_t index = 0; index < datagrams.size(); ++index) {
            MessageReader reader(datagrams[index].bytes);
            for (Decoded decoded; reader.next(decoded); ++messages) {
                std::string line;
                REQUIRE(std::getline(lines, line));
                CAPTURE(path.filename(), line);
                CHECK(line.substr(0, line.find(' ')) == "#" + std::to_string(index + 1));
                if (const auto* flow = std::get_if<FlowMessage>(&decoded)) {
                    CHECK(to_text(*flow) == parse_line(line));
                } else if (const auto* expectation = std::get_if<ExpectationMessage>(&decoded)) {
                    CHECK(to_text(*expectation) == parse_line(line));
                } else {
                    REQUIRE(std::holds_alternative<DumpDone>(decoded));
                    CHECK(line.ends_with(" type=3"));
                }
            }
        }
        std::string rest;
        CHECK(!std::getline(lines, rest));
        CHECK(messages > 0);
    }
}

TEST_CASE("a capture cut at any byte is read to its end and nothing behind it is touched") {
    for (const auto& path : capture_paths()) {
        for (const CapturedDatagram& datagram : read_capture(path)) {
            for (std::size_t size = 0; size < datagram.bytes.size(); ++size) {
                // A copy of exactly that size: AddressSanitizer sees a read past its end.
                const std::vector<std::uint8_t> cut(
                    datagram.bytes.begin(), datagram.bytes.begin() + static_cast<std::ptrdiff_t>(size));
                MessageReader reader(cut);
                Decoded last = Skipped{};
                while (reader.next(last)) {
                }
                const bool between_messages = size == 0 || !std::holds_alternative<DecodeFault>(last);
                if (!between_messages) {
                    CHECK(std::get<DecodeFault>(last) == DecodeFault::truncated_header);
                }
            }
        }
    }
}

TEST_CASE("a message whose length is cut with it has a fault, or only lacks what was cut off") {
    for (const auto& path : capture_paths()) {
        for (const CapturedDatagram& datagram : read_capture(path)) {
            Decoded whole;
            REQUIRE(MessageReader(datagram.bytes).next(whole));
            const auto length = *reinterpret_cast<const std::uint32_t*>(datagram.bytes.data());
            for (std::uint32_t size = sizeof(nlmsghdr); size < length; ++size) {
                std::vector<std::uint8_t> cut(datagram.bytes.begin(), datagram.bytes.begin() + size);
                std::memcpy(cut.data(), &size, sizeof size);
                Decoded decoded;
                REQUIRE(MessageReader(cut).next(decoded));
                if (const auto* flow = std::get_if<FlowMessage>(&decoded)) {
                    const MessageText all = to_text(std::get<FlowMessage>(whole));
                    for (const auto& [key, value] : to_text(*flow)) {
                        if (key != "TUPLE_REPLY") {  // the mirror where it is cut off
                            CHECK(all.at(key) == value);
                        }
                    }
                }
            }
        }
    }
}

}  // namespace
TEST_CASE("the tuple that is read ahead of a message is the one that the message has") {
    std::size_t flows = 0;
    for (const auto& path : capture_paths()) {
        INFO(path.stem().string());
        for (const auto& datagram : read_capture(path)) {
            std::span<const std::uint8_t> rest = datagram.bytes;
            Decoded decoded{Skipped{}};
            for (MessageReader reader(datagram.bytes); reader.next(decoded);) {
                const auto tuple = take_flow_tuple(rest);
                const auto* flow = std::get_if<FlowMessage>(&decoded);
                REQUIRE(tuple.has_value() == (flow != nullptr));
                if (flow != nullptr) {
                    ++flows;
                    CHECK(*tuple == flow->key.original);
                }
            }
            CHECK(rest.empty());
            rest = datagram.bytes;
            (void)take_flow_tuple(rest);
            const std::size_t first = datagram.bytes.size() - rest.size();
            for (std::size_t length = 0; length + 3 < first; ++length) {  // a message may lack its padding
                std::span<const std::uint8_t> cut(datagram.bytes.data(), length);
                const auto tuple = take_flow_tuple(cut);
                CHECK(cut.size() < std::max<std::size_t>(length, 1));
                CHECK_FALSE(tuple);
            }
        }
    }
    CHECK(flows > 50);
}

TEST_CASE("a tuple in other bytes than the kernel's usual ones is the same tuple") {
    std::size_t rewritten = 0;
    for (const auto& path : capture_paths()) {
        INFO(path.stem().string());
        for (const auto& datagram : read_capture(path)) {
            auto other = datagram.bytes;
            for (std::size_t at = 0; at + 4 <= other.size(); at += 4) {  // the flag of a nest may be left out
                const bool addresses = other[at] == 20 && other[at + 2] == CTA_TUPLE_IP;
                const bool ports = other[at] == 28 && other[at + 2] == CTA_TUPLE_PROTO;
                if ((addresses || ports) && other[at + 1] == 0 && other[at + 3] == 0x80) {
                    other[at + 3] = 0;
                    ++rewritten;
                }
            }
            Decoded usual{Skipped{}};
            Decoded unusual{Skipped{}};
            MessageReader of_usual(datagram.bytes);
            MessageReader of_unusual(other);
            while (of_usual.next(usual)) {
                REQUIRE(of_unusual.next(unusual));
                if (const auto* flow = std::get_if<FlowMessage>(&usual)) {
                    CHECK(to_text(*flow) == to_text(std::get<FlowMessage>(unusual)));
                }
            }
        }
    }
    CHECK(rewritten > 100);
}

}  // namespace flowkin::testing
