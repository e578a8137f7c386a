#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Inside a guest: packets that rules refuse, endpoints reset, networks return and conntrack does not know, one scene after
the other, while flowkin watches the router. The log stays where flowkin wrote it; what was played is written to the file
that is named, as a list: {name, version, hook, port, source_ports}. Each scene has a port of its own.

net.py stands beside this file, and the rules that flowkin ships."""

import contextlib
import itertools
import json
import pathlib
import socket
import struct
import subprocess
import sys
import time

import net

HERE = pathlib.Path(__file__).resolve().parent
LOG = pathlib.Path("/var/log/flowkin/flow.ndjson")
DROP_IN = pathlib.Path("/etc/systemd/system/flowkin.service.d/refusals.conf")
CONFIG = f'[output]\ndestination = "file"\npath = "{LOG}"\n[packets]\ngroups = [5]\n'
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
PROMPT_S = 3
ATTEMPTS = 4

# What a rule says of a scene's packets. A large packet in mid-stream is refused, the small ones before it are not.
RULES = {
    "first SYN, reset": "tcp dport {port} reject with tcp reset",
    "first SYN, ICMP": "tcp dport {port} reject with icmpx type port-unreachable",
    "first UDP, ICMP": "udp dport {port} reject with icmpx type port-unreachable",
    "TCP in mid-stream, reset": "tcp dport {port} meta length > 500 reject with tcp reset",
    "TCP in mid-stream, ICMP": "tcp dport {port} meta length > 500 reject with icmpx type port-unreachable",
    "UDP in mid-stream, ICMP": "udp dport {port} meta length > 500 reject with icmpx type port-unreachable",
}
FORWARD_RULES = {
    "the same tuple again and again": 'tcp dport {port} log group 5 prefix "flowkin:refused" reject with tcp reset',
    "many lives of one tuple": "udp dport {port} meta length > 500 reject with icmpx type port-unreachable",
    "dropped": 'tcp dport {port} log group 5 prefix "flowkin:refused" drop',
    "untracked": 'udp dport {port} log group 5 prefix "flowkin:untracked"',
    "closed TCP port": "", "closed UDP port": "", "invalid": "",
}


def all_scenes():
    ports = itertools.count(7001)
    names = [(name, hook) for name in RULES for hook in ("input", "forward", "output")]
    names += [(name, "forward") for name in FORWARD_RULES]
    return [{"name": name, "version": version, "hook": hook, "port": next(ports), "source_ports": []}
            for name, hook in names for version in (4, 6)]


def rules(scenes):
    text = "table inet refusals {\n"
    for hook in ("input", "forward", "output"):
        text += f"chain {hook} {{ type filter hook {hook} priority 0;\n"
        text += "".join({**RULES, **FORWARD_RULES}[scene["name"]].format(**scene) + "\n"
                        for scene in scenes if scene["hook"] == hook) + "}\n"
    text += "chain raw { type filter hook prerouting priority -300;\n"
    text += "".join(f"udp dport {scene['port']} notrack\n" for scene in scenes if scene["name"] == "untracked")
    return text + "}\n}\n"


class Stage:
    """Who speaks with whom."""

    def __init__(self, topology):
        self.topology = topology

    def ends(self, scene):
        """Who speaks, from where to whom, so that its packets pass the hook on the router."""
        there, version = self.topology, scene["version"]
        return {"input": (there.client, there.ROUTER[version], there.router),
                "forward": (there.client, there.SERVER[version], there.server),
                "output": (there.router, there.SERVER[version], there.server)}[scene["hook"]]

    def socket(self, namespace, scene, kind, protocol=0):
        with namespace:
            made = socket.socket(FAMILY[scene["version"]], kind, protocol)
        made.settimeout(PROMPT_S)
        return made

    def speaker(self, scene, kind, source_port=0):
        """A socket of who speaks, and the port it has."""
        made = self.socket(self.ends(scene)[0], scene, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone at once
        made.bind(("", source_port))
        scene["source_ports"].append(made.getsockname()[1])
        return made

    def listener(self, scene, kind):
        _, address, namespace = self.ends(scene)
        made = self.socket(namespace, scene, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, scene["port"]))
        return made

    def address(self, scene):
        return self.ends(scene)[1], scene["port"]

    # ---- scenes

    def connect(self, scene, source_port=0):
        with self.speaker(scene, socket.SOCK_STREAM, source_port) as near, contextlib.suppress(OSError):
            near.connect(self.address(scene))

    def shoot(self, scene):
        with self.speaker(scene, socket.SOCK_DGRAM) as near, contextlib.suppress(OSError):
            near.connect(self.address(scene))
            near.send(b"shot")
            near.recv(10)

    def tcp_in_mid_stream(self, scene):
        with self.listener(scene, socket.SOCK_STREAM) as waiting, self.speaker(scene, socket.SOCK_STREAM) as near:
            waiting.listen()
            near.connect(self.address(scene))
            far, _ = waiting.accept()
            with far:
                near.send(b"ask")
                far.recv(10)
                with contextlib.suppress(OSError):
                    near.send(bytes(1000))
                    near.settimeout(0.5)
                    near.recv(10)

    def udp_in_mid_stream(self, scene, source_port=0):
        with self.listener(scene, socket.SOCK_DGRAM) as far, self.speaker(scene, socket.SOCK_DGRAM, source_port) as near:
            near.connect(self.address(scene))
            near.send(b"ask")
            _, peer = far.recvfrom(10)
            far.sendto(b"answer", peer)
            near.recv(10)
            with contextlib.suppress(OSError):
                near.send(bytes(1000))
                near.recv(10)

    def again_and_again(self, scene):
        self.connect(scene)
        for _ in range(ATTEMPTS - 1):
            self.connect(scene, scene["source_ports"][0])

    def many_lives(self, scene):
        for life in range(ATTEMPTS):
            self.udp_in_mid_stream(scene, scene["source_ports"][0] if life else 0)
            wait_for(lambda record: told(record, "packet-rejected", scene), life + 1)
            self.topology.router.run("conntrack", "-D", "-p", "udp", "-f", f"ipv{scene['version']}", "--dport", scene["port"])
            wait_for(lambda record: told(record, "flow-end", scene), life + 1)

    def dropped(self, scene):
        """A SYN, and what the kernel sends again after a second."""
        self.connect(scene)

    def invalid(self, scene):
        """A RST out of nowhere."""
        with self.socket(self.topology.client, scene, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
            raw.sendto(struct.pack("!HHIIBBHHH", 4711, scene["port"], 1, 1, 5 << 4, 0x04, 0, 0xBAD, 0),
                       (self.topology.SERVER[scene["version"]], 0))

    def play(self, scene):
        {"TCP in mid-stream, reset": self.tcp_in_mid_stream, "TCP in mid-stream, ICMP": self.tcp_in_mid_stream,
         "UDP in mid-stream, ICMP": self.udp_in_mid_stream, "first UDP, ICMP": self.shoot, "untracked": self.shoot,
         "closed UDP port": self.shoot, "the same tuple again and again": self.again_and_again,
         "many lives of one tuple": self.many_lives, "invalid": self.invalid}.get(scene["name"], self.connect)(scene)


def told(record, action, scene):
    """True for a record of that action and of that scene's port."""
    packet = record["conntrack"].get("packet", {})
    ports = [place.get("destination", {}).get("port") for place in (record, packet.get("about", {}))]
    return record["event"]["action"] == action and scene["port"] in [*ports, record.get("source", {}).get("port")]


def wait_for(accepted, count=1, timeout=30):
    deadline = time.monotonic() + timeout
    while True:
        records = [json.loads(line) for line in LOG.read_text().splitlines()]
        if sum(accepted(record) for record in records) >= count:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in the log: {records[-3:]}")
        time.sleep(0.05)


@contextlib.contextmanager
def watched(router):
    """The unit, in the router's namespace."""
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(f"[Service]\nNetworkNamespacePath={router.path}\n")
    pathlib.Path("/etc/flowkin/flowkin.toml").write_text(CONFIG)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "start", "flowkin"], check=True)
    try:
        yield
    finally:
        subprocess.run(["systemctl", "stop", "flowkin"], check=True)
        DROP_IN.unlink()
        subprocess.run(["systemctl", "daemon-reload"], check=True)


def main():
    scenes = all_scenes()
    sysctls = {"net__ipv4__icmp_ratelimit": 0, "net__ipv6__icmp__ratelimit": 0}  # an answer to each, at once
    with net.Topology(net.TRACKING, **sysctls) as topology, watched(topology.router):
        topology.router.nft(rules(scenes))
        topology.router.run("nft", "-f", HERE / "flowkin-packets.nft")
        stage = Stage(topology)
        for scene in scenes:
            stage.play(scene)
        for scene in scenes:
            if scene["name"] == "invalid":
                wait_for(lambda record, scene=scene: told(record, "packet-invalid", scene))
        topology.router.flush()
    pathlib.Path(sys.argv[1]).write_text(json.dumps(scenes))


if __name__ == "__main__":
    main()
