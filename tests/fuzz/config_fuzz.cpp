// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "config.hpp"

/// Any text is a configuration or one error line; a configuration survives being printed. The first line is
/// also tried as an override.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace flowkin;
    const std::string text(bytes, bytes + size);
    const std::vector<std::string> overrides = {text.substr(0, text.find('\n'))};
    for (const auto& config : {parse_config(text, "f"), parse_config("", "f", overrides)}) {
        if (!config) {
            if (config.error().fault != Fault::configuration ||
                config.error().text.find('\n') != std::string::npos) {
                std::abort();
            }
            continue;
        }
        const auto again = parse_config(print_config(*config), "printed");
        if (!again || *again != *config || !compare(*again, *config).changed.empty()) {
            std::abort();
        }
    }
    return 0;
}
