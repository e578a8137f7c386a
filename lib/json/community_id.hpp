// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "flow/tuple.hpp"

namespace flowkin {

/// "1:" and 28 characters of base64.
inline constexpr std::size_t community_id_length = 30;

/// The Community ID (version 1, seed 0) of a flow, by either of its tuples: both directions give the same,
/// and so does every other tool that writes it. Writes `community_id_length` bytes and returns where it
/// stopped.
///
/// TCP, UDP and SCTP hash their ports, ICMP its type and the type of its answer (or its code, where there is
/// none and the flow has one direction only). All else, UDP-Lite and DCCP too, hashes addresses and protocol
/// alone.
char* write_community_id(char* to, const Tuple& tuple);

}  // namespace flowkin
