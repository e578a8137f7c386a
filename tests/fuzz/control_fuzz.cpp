// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "control_answer.hpp"
#include "control_request.hpp"

/// Any line is a request or one refusal, which fits a line of the answer; a request's filter can be held
/// against any flow.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace flowkin;
    const std::string line(bytes, bytes + size);
    const auto request = parse_control_request(line);
    if (request) {
        const Flow flow{};
        const Lineage lineage{};
        (void)request->filter.matches({.flow = &flow, .lineage = &lineage});
        return 0;
    }
    const std::string answer = answer_invalid(request.error().text);
    if (request.error().fault != Fault::usage || request.error().text.find('\n') != std::string::npos ||
        answer.find('\n') != answer.size() - 1 || answer.size() > 1024) {
        std::abort();
    }
    return 0;
}
