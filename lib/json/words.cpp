// SPDX-License-Identifier: GPL-2.0-or-later
#include "json/words.hpp"

namespace flowkin {

std::string_view transport_word(Protocol protocol) {
    switch (static_cast<unsigned>(protocol)) {
        case 0:
            return "hopopt";
        case 1:
            return "icmp";
        case 2:
            return "igmp";
        case 4:
            return "ipv4";
        case 6:
            return "tcp";
        case 8:
            return "egp";
        case 17:
            return "udp";
        case 27:
            return "rdp";
        case 33:
            return "dccp";
        case 41:
            return "ipv6";
        case 43:
            return "ipv6-route";
        case 44:
            return "ipv6-frag";
        case 46:
            return "rsvp";
        case 47:
            return "gre";
        case 50:
            return "esp";
        case 51:
            return "ah";
        case 58:
            return "ipv6-icmp";
        case 59:
            return "ipv6-nonxt";
        case 60:
            return "ipv6-opts";
        case 88:
            return "eigrp";
        case 89:
            return "ospf";
        case 94:
            return "ipip";
        case 97:
            return "etherip";
        case 98:
            return "encap";
        case 103:
            return "pim";
        case 108:
            return "ipcomp";
        case 112:
            return "vrrp";
        case 115:
            return "l2tp";
        case 124:
            return "isis";
        case 132:
            return "sctp";
        case 135:
            return "mobility-header";
        case 136:
            return "udplite";
        case 137:
            return "mpls-in-ip";
        case 139:
            return "hip";
        case 140:
            return "shim6";
        default:
            return {};
    }
}

}  // namespace flowkin
