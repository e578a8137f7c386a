// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "flow/tuple.hpp"

namespace flowkin {

/// The longest address as text: six groups and a dotted quad ("ffff:…:255.255.255.255"), as INET6_ADDRSTRLEN
/// counts.
inline constexpr std::size_t address_text_longest = 45;

/// The address as inet_ntop() writes it (RFC 5952), at `to`, which has room for `address_text_longest` bytes
/// and three more. Returns where the text stops.
char* write_address(char* to, const Address& address, Family family);

}  // namespace flowkin
