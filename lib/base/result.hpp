// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace flowkin {

/// What kind of thing went wrong, numbered as the exit status that tells it (sysexits.h).
enum class Fault : int {
    other = 1,
    usage = 64,          ///< the command line
    input_output = 74,   ///< a file, a pipe, a socket
    permission = 77,     ///< a capability or a file mode
    configuration = 78,  ///< the configuration file
};

/// One clear line for a person, and what kind of fault it is. The text has no trailing newline.
struct Error {
    Fault fault = Fault::other;
    std::string text;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Fault fault, std::string text) {
    return tl::unexpected<Error>(Error{fault, std::move(text)});
}

}  // namespace flowkin
