# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that sees packets by NFQUEUE learns from flowkin whose they are (examples/nfqueue_flow.cpp). Only a kernel with
CONFIG_NETFILTER_NETLINK_GLUE_CT sends the flow's id along, so this runs on Debian's own."""

import json

import pytest
from flowkin import BUILD
from installed import CONFIG

pytestmark = pytest.mark.xdist_group("virtual machine")

PORT = 5300
RULES = f"""
table inet queued {{
    chain output {{
        type filter hook output priority 0
        udp dport {PORT} ct state new ct mark set 0x17
        udp dport {PORT} ct state established queue num 7
    }}
}}
"""
# An exchange that makes a flow which flowkin knows; then one packet more of it, which goes through the queue.
TRAFFIC = f"""
import pathlib, socket, subprocess, time

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.settimeout(60)
client.settimeout(60)
server.bind(("127.0.0.1", {PORT}))
client.connect(("127.0.0.1", {PORT}))
client.send(b"first")
server.sendto(b"answer", server.recvfrom(100)[1])
client.recv(100)
listed = ""
while not listed:
    time.sleep(0.1)
    listed = subprocess.run(["flowkinctl", "--json", "flows", "--port", "{PORT}"], check=True, capture_output=True,
                            text=True).stdout
client.send(b"second")
assert server.recvfrom(100)[0] == b"second"
print(listed, end="")
"""


@pytest.fixture(name="queue")
def queue_fixture(virtual_machine):
    """flowkin runs, packets are queued and the example reads them; afterwards all is as it was."""
    guest = virtual_machine.guest
    before = guest.get(CONFIG).decode()
    virtual_machine.configure({})
    guest.put(RULES, "/run/queued.nft")
    guest.put(BUILD / "examples/nfqueue_flow", "/run/nfqueue/nfqueue_flow")
    guest.put(TRAFFIC, "/run/nfqueue/traffic.py")
    guest.run("systemctl", "start", "flowkin", timeout=120)
    try:
        guest.run("systemd-run", "--unit=nfqueue-flow", "--property=StandardOutput=file:/run/nfqueue/out",
                  "/run/nfqueue/nfqueue_flow", "7")
        guest.wait_until("grep -q '^ *7 ' /proc/net/netfilter/nfnetlink_queue", timeout=60)
        guest.run("nft", "-f", "/run/queued.nft")
        yield guest
    finally:
        print(guest.run("journalctl -n 50 -u nfqueue-flow -u flowkin", check=False).stdout)
        guest.run("nft delete table inet queued; systemctl stop nfqueue-flow; systemctl stop flowkin", check=False, timeout=120)
        guest.run("conntrack", "-D", "-p", "udp", "--dport", PORT, check=False)
        guest.put(before, CONFIG)


def test_a_program_that_got_an_id_from_nfqueue_learns_its_flow_and_mark(queue):
    listed = json.loads(queue.run("python3", "/run/nfqueue/traffic.py", timeout=240).stdout)
    flow, last = (json.loads(line) for line in queue.get("/run/nfqueue/out").splitlines())
    assert flow["conntrack"]["uid"] == listed["conntrack"]["uid"]
    assert flow["conntrack"]["mark"] == 0x17
    assert flow["conntrack"]["mark_origin"] == "rule"
    assert flow["destination"]["port"] == PORT
    assert last == {"result": "done", "flows": 1}
