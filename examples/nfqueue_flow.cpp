// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

/// nfqueue_flow QUEUE [SOCKET]: which flow does each packet of an NFQUEUE belong to?
///
/// With each packet the kernel sends a section of conntrack's (NFQA_CT), and in it the flow's id (CTA_ID). flowkin
/// knows the flow by that: since when it lives, where its mark comes from, who its parent is. What flowkin answers
/// is printed, a line of JSON a flow and then one with `result`, and the packet is accepted. A rule for it:
///
///   nft add rule inet filter forward ct state established queue num 7
///
/// The first packet of a flow passes the queue before conntrack announces the flow, so flowkin cannot know it yet.
/// It needs CAP_NET_ADMIN, the right to flowkin's control socket, and a kernel with
/// CONFIG_NETFILTER_NETLINK_GLUE_CT.
namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

struct QueuedPacket {
    std::uint32_t number = 0;                ///< for the verdict
    std::optional<std::uint32_t> flow_id{};  ///< CTA_ID; none: of no flow
};

/// A queue of packets that wait for a verdict.
class PacketQueue {
  public:
    explicit PacketQueue(std::uint16_t number)
        : number_(number), socket_(mnl_socket_open(NETLINK_NETFILTER)) {
        if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
            fail("netlink");
        }
        const nfqnl_msg_config_cmd bind{.command = NFQNL_CFG_CMD_BIND, ._pad = 0, .pf = htons(AF_UNSPEC)};
        nlmsghdr* request = begin(NFQNL_MSG_CONFIG, NLM_F_ACK);
        mnl_attr_put(request, NFQA_CFG_CMD, sizeof bind, &bind);
        ask(request, "the queue cannot be bound");

        const nfqnl_msg_config_params headers{.copy_range = 0, .copy_mode = NFQNL_COPY_META};
        request = begin(NFQNL_MSG_CONFIG, NLM_F_ACK);
        mnl_attr_put(request, NFQA_CFG_PARAMS, sizeof headers, &headers);
        mnl_attr_put_u32(request, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_CONNTRACK));
        mnl_attr_put_u32(request, NFQA_CFG_MASK, htonl(NFQA_CFG_F_CONNTRACK));
        ask(request, "the kernel sends no conntrack section");
    }

    QueuedPacket next() {
        QueuedPacket packet;
        const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
        if (size < 0 ||
            mnl_cb_run(buffer_.data(), static_cast<std::size_t>(size), 0, 0, read_packet, &packet) < 0) {
            fail("the queue");
        }
        return packet;
    }

    void accept(const QueuedPacket& packet) {
        nlmsghdr* request = begin(NFQNL_MSG_VERDICT, 0);
        const nfqnl_msg_verdict_hdr verdict{.verdict = htonl(NF_ACCEPT), .id = htonl(packet.number)};
        mnl_attr_put(request, NFQA_VERDICT_HDR, sizeof verdict, &verdict);
        send(request);
    }

  private:
    nlmsghdr* begin(unsigned message, unsigned flags) {
        nlmsghdr* request = mnl_nlmsg_put_header(buffer_.data());
        request->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_QUEUE << 8U | message);
        request->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
        auto* header = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(nfgenmsg)));
        header->nfgen_family = AF_UNSPEC;
        header->version = NFNETLINK_V0;
        header->res_id = htons(number_);
        return request;
    }

    void send(const nlmsghdr* request) {
        if (mnl_socket_sendto(socket_.get(), request, request->nlmsg_len) < 0) {
            fail("netlink");
        }
    }

    void ask(const nlmsghdr* request, const char* trouble) {
        send(request);
        const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
        if (size < 0 ||
            mnl_cb_run(buffer_.data(), static_cast<std::size_t>(size), 0, 0, nullptr, nullptr) < 0) {
            fail(trouble);
        }
    }

    static int read_packet(const nlmsghdr* message, void* into) {
        return mnl_attr_parse(message, sizeof(nfgenmsg), read_attribute, into);
    }

    static int read_attribute(const nlattr* attribute, void* into) {
        auto& packet = *static_cast<QueuedPacket*>(into);
        switch (mnl_attr_get_type(attribute)) {
            case NFQA_PACKET_HDR: {
                nfqnl_msg_packet_hdr header{};
                std::memcpy(&header, mnl_attr_get_payload(attribute), sizeof header);
                packet.number = ntohl(header.packet_id);
                break;
            }
            case NFQA_CT:
                return mnl_attr_parse_nested(attribute, read_flow_attribute, into);
            default:
                break;
        }
        return MNL_CB_OK;
    }

    static int read_flow_attribute(const nlattr* attribute, void* into) {
        if (mnl_attr_get_type(attribute) == CTA_ID) {
            static_cast<QueuedPacket*>(into)->flow_id = ntohl(mnl_attr_get_u32(attribute));
        }
        return MNL_CB_OK;
    }

    struct Close {
        void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
    };

    std::uint16_t number_;
    std::unique_ptr<mnl_socket, Close> socket_;
    std::array<char, 65'536> buffer_{};
};

/// A connection to flowkin's control socket: a line asks, lines answer, and the last one has `result`.
class Flowkin {
  public:
    explicit Flowkin(const std::string& path) : path_(path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (path.size() >= sizeof address.sun_path) {
            throw std::runtime_error(path + ": too long");
        }
        path.copy(static_cast<char*>(address.sun_path), path.size());
        const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (socket < 0 ||
            ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            fail(path);
        }
        stream_.reset(::fdopen(socket, "r+"));
    }

    /// All flows with that id: it is a hash, so there may be several.
    std::string flows_of(std::uint32_t id) {
        std::fprintf(stream_.get(), "{\"command\":\"id\",\"id\":%u}\n", id);
        std::fflush(stream_.get());
        std::string answer;
        std::array<char, 8192> line{};
        while (std::fgets(line.data(), line.size(), stream_.get()) != nullptr) {
            answer += line.data();
            if (std::strncmp(line.data(), "{\"result\"", 9) == 0) {
                return answer;
            }
        }
        throw std::runtime_error(path_ + ": flowkin has hung up");
    }

  private:
    struct Close {
        void operator()(FILE* stream) const { std::fclose(stream); }
    };

    std::string path_;
    std::unique_ptr<FILE, Close> stream_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) {
        std::fprintf(stderr, "usage: nfqueue_flow QUEUE [SOCKET]\n");
        return 64;
    }
    try {
        const std::string path = argc == 3 ? argv[2] : "/run/flowkin/control.sock";
        PacketQueue queue(static_cast<std::uint16_t>(std::strtoul(argv[1], nullptr, 10)));
        while (true) {
            const QueuedPacket packet = queue.next();
            if (packet.flow_id) {
                // A connection a packet: flowkin ends one that is silent for ten seconds.
                std::fputs(Flowkin(path).flows_of(*packet.flow_id).c_str(), stdout);
                std::fflush(stdout);
            }
            queue.accept(packet);
        }
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "nfqueue_flow: %s\n", failure.what());
        return EXIT_FAILURE;
    }
}
