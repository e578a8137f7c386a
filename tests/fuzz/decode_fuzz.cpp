// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdlib>

#include "netlink/decode.hpp"
#include "unit/netlink/message_text.hpp"

/// The decoder takes any bytes, and what it accepts has one meaning: written again as the kernel writes it,
/// it decodes to the same. (An exit() in the decoder would be a crash to libFuzzer.)
namespace {

using namespace flowkin;
using namespace flowkin::testing;

template <class Message>
void expect_same(const Message& message, const std::vector<std::uint8_t>& written) {
    Decoded again;
    MessageReader reader(written);
    if (!reader.next(again) || !std::holds_alternative<Message>(again) ||
        to_text(std::get<Message>(again)) != to_text(message)) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    for (std::span<const std::uint8_t> rest(bytes, size); !rest.empty();) {
        const std::size_t before = rest.size();
        (void)take_flow_tuple(rest);
        if (rest.size() >= before) {
            std::abort();
        }
    }
    MessageReader reader({bytes, size});
    for (Decoded decoded; reader.next(decoded);) {
        if (const auto* flow = std::get_if<FlowMessage>(&decoded)) {
            expect_same(*flow, flow_datagram(*flow));
        } else if (const auto* expectation = std::get_if<ExpectationMessage>(&decoded)) {
            expect_same(*expectation, expectation_datagram(*expectation));
        } else if (const auto* fault = std::get_if<DecodeFault>(&decoded)) {
            if (name(*fault).empty()) {
                std::abort();
            }
        } else if (const auto* error = std::get_if<NetlinkError>(&decoded)) {
            if (error->code < 0) {
                std::abort();
            }
        }
    }
    return 0;
}
