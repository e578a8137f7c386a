// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink/tracking.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_hook.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/attributes.hpp"

namespace flowkin {
namespace {

using wire::Attribute;
using wire::Bytes;
using wire::Check;
using wire::for_each_attribute;

/// A question for a list, which the kernel answers with one message an entry.
class Request {
  public:
    Request(unsigned subsystem, unsigned type, std::uint8_t family) {
        header_->nlmsg_type = static_cast<std::uint16_t>(subsystem << 8 | type);
        header_->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        auto* message = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
        message->nfgen_family = family;
        message->version = NFNETLINK_V0;
    }
    void add(std::uint16_t attribute, std::uint32_t value) {
        mnl_attr_put_u32(header_, attribute, htonl(value));
    }
    const nlmsghdr* header() const { return header_; }

  private:
    alignas(nlmsghdr) std::array<char, 256> bytes_{};
    nlmsghdr* header_ = mnl_nlmsg_put_header(bytes_.data());
};

/// Gives the attributes of each entry to `visit`. False where the kernel could not or would not answer.
template <class Visit>
bool for_each_entry(const Request& request, Visit visit) {
    struct Closer {
        void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
    };
    const std::unique_ptr<mnl_socket, Closer> socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
    const timeval patience{2, 0};
    if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0 ||
        ::setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) !=
            0 ||
        mnl_socket_sendto(socket.get(), request.header(), request.header()->nlmsg_len) < 0) {
        return false;
    }
    const unsigned port = mnl_socket_get_portid(socket.get());
    const auto entry = [](const nlmsghdr* header, void* context) {
        const auto* attributes =
            static_cast<const std::uint8_t*>(mnl_nlmsg_get_payload_offset(header, sizeof(nfgenmsg)));
        const auto* end = static_cast<const std::uint8_t*>(mnl_nlmsg_get_payload_tail(header));
        if (attributes < end) {
            (*static_cast<Visit*>(context))(Bytes(attributes, end));
        }
        return MNL_CB_OK;
    };
    std::vector<char> buffer(65'536);
    int more = MNL_CB_OK;
    while (more == MNL_CB_OK) {
        const ssize_t bytes = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
        if (bytes < 0) {
            return false;
        }
        more = mnl_cb_run(buffer.data(), static_cast<std::size_t>(bytes), 0, port, entry, &visit);
    }
    return more == MNL_CB_STOP;
}

std::string_view text(Bytes payload) {
    const std::string_view whole(reinterpret_cast<const char*>(payload.data()), payload.size());
    return whole.substr(0, whole.find('\0'));
}

template <std::size_t count>
bool contains(const std::array<std::string_view, count>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// ipv4_conntrack_in, ipv6_conntrack_local, …: see nf_conntrack_proto.c. A bridge has nf_ct_bridge_pre.
bool is_conntrack_function(std::string_view name) {
    return name.find("conntrack_in") != name.npos || name.find("conntrack_local") != name.npos ||
           name.find("ct_bridge_pre") != name.npos;
}

Tracking tracking_by_hooks() {
    struct Place {
        std::uint8_t family;
        std::uint32_t hook;
        bool optional;  ///< not each kernel bridges
    };
    constexpr std::array<Place, 5> places = {{{NFPROTO_IPV4, NF_INET_PRE_ROUTING, false},
                                              {NFPROTO_IPV4, NF_INET_LOCAL_OUT, false},
                                              {NFPROTO_IPV6, NF_INET_PRE_ROUTING, false},
                                              {NFPROTO_IPV6, NF_INET_LOCAL_OUT, false},
                                              {NFPROTO_BRIDGE, NF_INET_PRE_ROUTING, true}}};
    bool nameless = false;
    for (const Place& place : places) {
        Request request(NFNL_SUBSYS_HOOK, NFNL_MSG_HOOK_GET, place.family);
        request.add(NFNLA_HOOK_HOOKNUM, place.hook);
        bool found = false;
        const bool answered = for_each_entry(request, [&](Bytes attributes) {
            bool named = false;
            static_cast<void>(for_each_attribute(attributes, [&](const Attribute& attribute) -> Check {
                if (attribute.type == NFNLA_HOOK_FUNCTION_NAME) {
                    named = true;
                    found = found || is_conntrack_function(text(attribute.payload));
                }
                return {};
            }));
            nameless = nameless || !named;  // a kernel without KALLSYMS
        });
        if (found) {
            return Tracking::yes;
        }
        if (!answered && !place.optional) {
            return Tracking::unknown;
        }
    }
    return nameless ? Tracking::unknown : Tracking::no;
}

/// Expressions of nftables that hook conntrack by being there (they call nf_ct_netns_get).
constexpr std::array<std::string_view, 7> tracking_expressions = {
    "ct", "nat", "masq", "redir", "synproxy", "flow_offload", "connlimit"};

/// Matches and targets of iptables-nft that do.
constexpr std::array<std::string_view, 19> tracking_extensions = {
    "cluster", "connbytes", "connlabel", "connlimit",   "connmark", "conntrack", "helper",
    "state",   "CLUSTERIP", "CONNMARK",  "CONNSECMARK", "CT",       "DNAT",      "MASQUERADE",
    "NETMAP",  "REDIRECT",  "SNAT",      "SYNPROXY",    "NAT"};

/// An object that a rule names: a limit, helper, timeout or expectation of conntrack, or synproxy.
bool is_tracking_object(Bytes payload) {
    std::uint32_t type = 0;
    if (wire::read(payload, type)) {
        return false;
    }
    return type == NFT_OBJECT_CONNLIMIT || type == NFT_OBJECT_CT_HELPER || type == NFT_OBJECT_CT_TIMEOUT ||
           type == NFT_OBJECT_CT_EXPECT || type == NFT_OBJECT_SYNPROXY;
}

bool any_tracks(Bytes expressions);

/// One expression: its name, and for those that wrap another what they wrap.
bool tracks(Bytes expression) {
    std::string_view name;
    Bytes content;
    static_cast<void>(for_each_attribute(expression, [&](const Attribute& attribute) -> Check {
        if (attribute.type == NFTA_EXPR_NAME) {
            name = text(attribute.payload);
        } else if (attribute.type == NFTA_EXPR_DATA) {
            content = attribute.payload;
        }
        return {};
    }));
    bool found = contains(tracking_expressions, name);
    static_cast<void>(for_each_attribute(content, [&](const Attribute& attribute) -> Check {
        if ((name == "match" && attribute.type == NFTA_MATCH_NAME) ||
            (name == "target" && attribute.type == NFTA_TARGET_NAME)) {
            found = found || contains(tracking_extensions, text(attribute.payload));
        } else if (name == "objref" && attribute.type == NFTA_OBJREF_IMM_TYPE) {
            found = found || is_tracking_object(attribute.payload);
        } else if (name == "dynset" && attribute.type == NFTA_DYNSET_EXPR) {
            found = found || tracks(attribute.payload);
        } else if (name == "dynset" && attribute.type == NFTA_DYNSET_EXPRESSIONS) {
            found = found || any_tracks(attribute.payload);
        }
        return {};
    }));
    return found;
}

bool any_tracks(Bytes expressions) {
    bool found = false;
    static_cast<void>(for_each_attribute(expressions, [&](const Attribute& attribute) -> Check {
        found = found || (attribute.type == NFTA_LIST_ELEM && tracks(attribute.payload));
        return {};
    }));
    return found;
}

Tracking tracking_by_rules() {
    bool found = false;
    const Request request(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE, NFPROTO_UNSPEC);
    const bool answered = for_each_entry(request, [&](Bytes attributes) {
        static_cast<void>(for_each_attribute(attributes, [&](const Attribute& attribute) -> Check {
            found = found || (attribute.type == NFTA_RULE_EXPRESSIONS && any_tracks(attribute.payload));
            return {};
        }));
    });
    if (found) {
        return Tracking::yes;
    }
    return answered ? Tracking::no : Tracking::unknown;
}

/// The tables of the older iptables, whose rules netlink does not list. A table without a rule that asks for
/// conntrack hooks nothing, nat neither, so that any table leaves it open. The thread's own namespace counts:
/// /proc/net is that of the first thread.
Tracking tracking_by_old_tables() {
    for (const char* path :
         {"/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"}) {
        errno = 0;
        std::ifstream file(path);
        std::string table;
        if ((!file && errno != ENOENT) || file >> table) {
            return Tracking::unknown;
        }
    }
    return Tracking::no;
}

}  // namespace

Tracking find_tracking(std::optional<std::uint64_t> flows) {
    if (flows.value_or(0) > 0) {
        return Tracking::yes;
    }
    if (const Tracking by_hooks = tracking_by_hooks(); by_hooks != Tracking::unknown) {
        return by_hooks;
    }
    const Tracking by_rules = tracking_by_rules();
    return by_rules == Tracking::no ? tracking_by_old_tables() : by_rules;
}

}  // namespace flowkin
