// SPDX-License-Identifier: GPL-2.0-or-later
#include "sample.hpp"

#include <arpa/inet.h>

#include <ctime>
#include <stdexcept>

namespace flowkin::samples {
namespace {

bool is_ipv6(const char* text) {
    return std::string_view(text).find(':') != std::string_view::npos;
}

}  // namespace

Address address(const char* text) {
    Address address;
    if (inet_pton(is_ipv6(text) ? AF_INET6 : AF_INET, text, address.bytes.data()) != 1) {
        throw std::invalid_argument(text);
    }
    return address;
}

Tuple tuple(Protocol protocol, const char* source, std::uint16_t source_port, const char* destination,
            std::uint16_t destination_port) {
    return {address(source),
            address(destination),
            source_port,
            destination_port,
            is_ipv6(source) ? Family::ipv6 : Family::ipv4,
            protocol};
}

WallTime time(const std::string& text) {
    std::tm parts{};
    const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S.", &parts);
    if (rest == nullptr) {
        throw std::invalid_argument(text);
    }
    return WallTime(seconds(timegm(&parts)) + nanoseconds(std::stol(rest)));
}

std::string line_of(LineEncoder& encoder, const Event& event, std::uint64_t sequence) {
    LineBatch batch;
    encoder.encode(event, sequence, batch);
    std::string line(batch.bytes());
    if (line.empty() || line.back() != '\n') {
        throw std::logic_error("a line without its newline");
    }
    line.pop_back();
    return line;
}

}  // namespace flowkin::samples
