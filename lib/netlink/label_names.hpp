// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <string>

namespace flowkin {

/// The names of connlabel bits, from /etc/xtables/connlabel.conf as iptables and conntrack read it; empty
/// where there is no such file.
std::map<unsigned, std::string> read_label_names();

}  // namespace flowkin
