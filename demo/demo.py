# SPDX-License-Identifier: GPL-2.0-or-later
"""A client, a router with NAT and the ftp helper, a server, and flowkin on the router. Nothing outside its own
network namespaces is touched, and they are gone at the end, also after Ctrl-C."""

import contextlib
import json
import pathlib
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))

import net as network  # noqa: E402
import traffic  # noqa: E402
from flowkin import Flowkin, matching  # noqa: E402
from narrator import Narrator  # noqa: E402

ROUTER_RULES = """
table inet demo {
    ct helper ftp { type "ftp" protocol tcp; }
    chain prerouting { type filter hook prerouting priority -150; tcp dport 21 ct helper set "ftp"; }
    chain forward {
        type filter hook forward priority 0; policy accept;
        tcp dport 21 ct state new ct mark set 0x11
    }
    chain postrouting { type nat hook postrouting priority srcnat; oifname "wan" ip version 4 masquerade; }
}
"""
SERVER_RULES = """
table inet demo {
    chain input { type filter hook input priority 0; tcp dport 23 reject with tcp reset; }
}
"""
SHORT_LIVES = {"net__netfilter__nf_conntrack_udp_timeout": 1, "net__netfilter__nf_conntrack_udp_timeout_stream": 1}
NAMES = {network.Topology.CLIENT[4]: "client", network.Topology.SERVER[4]: "server",
         network.Topology.ROUTER[4]: "router", network.Topology.ROUTER_WAN[4]: "router"}


class Narrated(Flowkin):
    """A flowkin whose lines are told as they come."""

    def __init__(self, narrator, folder, namespace):
        super().__init__(folder, namespace)
        self._narrator = narrator

    def _take(self, records):
        for record in records:
            self._narrator.tell(record)
        super()._take(records)


def refused(net):
    with traffic.open_socket(net.client) as near, contextlib.suppress(ConnectionRefusedError):
        near.connect((net.SERVER[4], 23))


def ends(net, flowkin, count):
    """Waits until the flows that have had their say are over."""
    deadline = time.monotonic() + 5
    while len(flowkin.find(matching(event__action="flow-end"))) < count and time.monotonic() < deadline:
        net.router.reap()
        time.sleep(0.1)


def play(narrator, folder):
    with network.Topology(ROUTER_RULES, **SHORT_LIVES) as net, Narrated(narrator, folder, net.router) as flowkin:
        net.server.nft(SERVER_RULES)

        narrator.heading("A name is looked up", "one question, one answer, by UDP")
        traffic.udp_exchange(net, 53)
        ends(net, flowkin, 1)

        narrator.heading("A connection is refused", "a REJECT rule on the server answers with a RST")
        refused(net)
        ends(net, flowkin, 2)

        narrator.heading("A file is fetched by FTP",
                         "first passive, then active: each transfer is a child of the control connection")
        with traffic.ftp_server(net, size_bytes=1_000_000), traffic.FtpClient(net) as client:
            for passive in (True, False):
                client.set_pasv(passive)
                with client.transfer():
                    pass
                time.sleep(0.3)
        ends(net, flowkin, 5)

        children = flowkin.find(lambda record: record["event"]["action"] == "flow-end" and
                                "parent" in record["conntrack"])
        if children:
            narrator.heading("As it stands in the log", "the end of the first transfer")
            print(json.dumps(children[0], separators=(",", ":")))


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell had it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    network.sweep()
    narrator = Narrator(NAMES)
    print(f"{narrator.paint('client', 'bold')} 10.1.0.2 ─── 10.1.0.1 {narrator.paint('router', 'bold')} 10.2.0.1 "
          f"─── 10.2.0.2 {narrator.paint('server', 'bold')}")
    print(narrator.paint("The router masquerades, has the ftp helper, and marks FTP control connections 0x11.\n"
                         "flowkin watches its conntrack.", "dim"))
    with tempfile.TemporaryDirectory(prefix="flowkin-demo-") as folder:
        try:
            play(narrator, folder)
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
