# SPDX-License-Identifier: GPL-2.0-or-later
"""flowkin on Debian's own kernel, whose NFLOG sends the conntrack section with each packet. One run of refusals.py in the
virtual machine plays everything; the tests judge what the log says of each scene."""

import json
import pathlib

import pytest
from flowkin import ROOT, action, field, format_violations
from installed import EXAMPLES, LOG
from refusals import ATTEMPTS, RULES, all_scenes, told

pytestmark = pytest.mark.xdist_group("virtual machine")
HERE = pathlib.Path(__file__).resolve().parent
UNREACHABLE = {4: {"type": 3, "code": 3}, 6: {"type": 1, "code": 4}}
SCENES = {f"{scene['name']}, {scene['hook']}, IPv{scene['version']}": scene for scene in all_scenes()}


class Played:
    """The log, scene by scene."""

    def __init__(self, records, scenes):
        self.records = records
        self.scenes = {scene["port"]: scene for scene in scenes}

    def find(self, scene, *names):
        return [record for record in self.records for name in names if told(record, name, scene)]

    def flows(self, scene):
        """What the events of conntrack said."""
        return [record for record in self.records
                if action(record).startswith("flow-") and field(record, "destination.port") == scene["port"]]

    def flow(self, scene):
        """The one flow of the scene, as it began."""
        begun, = [record for record in self.flows(scene) if action(record) == "flow-start"]
        return begun

    def packets(self, scene):
        return self.find(scene, *{action(record) for record in self.records if action(record).startswith("packet-")})


@pytest.fixture(name="played", scope="module")
def played_fixture(virtual_machine):
    guest = virtual_machine.guest
    for source in (HERE / "refusals.py", ROOT / "tests/support/net.py", ROOT / "config/nftables/flowkin-packets.nft"):
        guest.put(source, f"/payload/{source.name}")
    try:
        guest.run("python3", "/payload/refusals.py", "/payload/scenes", timeout=400)
    finally:
        print(virtual_machine.journal())
    return Played(virtual_machine.lines(LOG), json.loads(guest.get("/payload/scenes")))


def scenes_of(*names):
    chosen = [name for name, scene in SCENES.items() if scene["name"] in names]
    assert chosen
    return pytest.mark.parametrize("scene", [SCENES[name] for name in chosen], ids=chosen)


def assert_made_by_a_rule(record, scene):
    packet = record["conntrack"]["packet"]
    assert packet["flow_id_from"] == "ct"
    assert (packet["state"], packet["direction"], packet["hook"]) == ("related", "reply", "output")
    assert packet["out"] == ("lo" if scene["hook"] == "output" else "lan") and "in" not in packet
    assert record["event"]["type"] == ["connection", "denied"] and record["event"]["outcome"] == "failure"
    if scene["name"].endswith("reset"):
        assert "rst" in packet["tcp_flags"]
    elif "ICMP" in scene["name"]:
        assert packet["icmp"] == UNREACHABLE[scene["version"]]
        assert packet["about"]["destination"]["port"] == scene["port"]


@scenes_of(*[name for name in RULES if name.startswith("first")])
def test_a_flow_refused_at_its_first_packet_is_in_nflog_alone_and_not_confirmed(played, scene):
    rejected = played.packets(scene)
    assert rejected and not played.flows(scene)
    for record in rejected:
        assert action(record) == "packet-rejected"
        assert_made_by_a_rule(record, scene)
        assert record["conntrack"]["confirmed"] is False
        assert record["conntrack"]["id"] and "uid" not in record["conntrack"]


@scenes_of(*[name for name in RULES if "mid-stream" in name])
def test_a_packet_refused_in_mid_stream_is_joined_with_its_flow(played, scene):
    flow = played.flow(scene)
    rejected = played.find(scene, "packet-rejected")
    assert rejected
    for record in rejected:
        assert_made_by_a_rule(record, scene)
        assert "confirmed" not in record["conntrack"]
        assert (record["conntrack"]["uid"], record["conntrack"]["id"]) == (flow["conntrack"]["uid"], flow["conntrack"]["id"])


@scenes_of("closed TCP port")
def test_the_reset_of_a_closed_port_is_an_endpoints(played, scene):
    flow = played.flow(scene)
    assert not played.find(scene, "packet-rejected")
    reset, = played.find(scene, "packet-reset")
    packet = reset["conntrack"]["packet"]
    assert (packet["state"], packet["direction"], packet["hook"]) == ("established", "reply", "forward")
    assert packet["flow_id_from"] == "ct" and "confirmed" not in reset["conntrack"]
    # The reset ended its flow before it was logged: then the id joins them, and no uid.
    assert reset["conntrack"]["id"] == flow["conntrack"]["id"]
    assert reset["conntrack"].get("uid") in (None, flow["conntrack"]["uid"])


@scenes_of("closed UDP port")
def test_the_icmp_error_of_a_closed_port_is_the_networks(played, scene):
    error, = played.packets(scene)
    assert action(error) == "packet-error"
    assert error["conntrack"]["packet"]["icmp"] == UNREACHABLE[scene["version"]]
    assert error["conntrack"]["packet"]["flow_id_from"] == "ct"
    assert error["conntrack"]["uid"] == played.flow(scene)["conntrack"]["uid"]


@scenes_of("dropped")
def test_what_is_dropped_and_sent_again_is_told_each_time_and_is_no_flow(played, scene):
    dropped = played.packets(scene)
    assert len(dropped) >= 2 and not played.flows(scene)
    for record in dropped:
        assert action(record) == "packet-logged"
        assert record["conntrack"]["packet"]["tcp_flags"][0] == "syn"
        assert record["conntrack"]["packet"]["flow_id_from"] == "ct"
        assert record["conntrack"]["id"] and "uid" not in record["conntrack"]


@scenes_of("the same tuple again and again")
def test_each_attempt_has_its_own_refusal_whatever_the_ids(played, scene):
    """The kernel gives few ids to many attempts."""
    rejected = played.packets(scene)
    assert [action(record) for record in rejected] == ["packet-rejected"] * ATTEMPTS
    assert {record["destination"]["port"] for record in rejected} == {*played.scenes[scene["port"]]["source_ports"]}
    for record in rejected:  # and no refused packet is left over
        refused = record["conntrack"]["packet"]["refused"]
        assert (refused["hook"], refused["prefix"], refused["tcp_flags"][0]) == ("forward", "flowkin:refused", "syn")
        assert refused["at"] <= record["@timestamp"]
        assert record["conntrack"]["id"] and "uid" not in record["conntrack"]


@scenes_of("many lives of one tuple")
def test_a_packet_belongs_to_the_life_that_its_tuple_has_now(played, scene):
    lives = [record for record in played.flows(scene) if action(record) == "flow-start"]
    assert len({record["conntrack"]["uid"] for record in lives}) == len(lives) == ATTEMPTS
    rejected = played.find(scene, "packet-rejected")
    assert [(record["conntrack"]["uid"], record["conntrack"]["id"]) for record in rejected] == [
        (record["conntrack"]["uid"], record["conntrack"]["id"]) for record in lives]


@scenes_of("untracked")
def test_an_untracked_packet_has_no_flow(played, scene):
    untracked, = [record for record in played.packets(scene) if field(record, "destination.port") == scene["port"]]
    assert action(untracked) == "packet-invalid"
    assert untracked["conntrack"]["packet"]["state"] == "untracked"
    assert not {"uid", "id"} & set(untracked["conntrack"]) and not played.flows(scene)


@scenes_of("invalid")
def test_an_invalid_packet_has_no_flow(played, scene):
    invalid, = played.packets(scene)
    assert action(invalid) == "packet-invalid"
    packet = invalid["conntrack"]["packet"]
    assert (packet["state"], packet["hook"], packet["tcp_flags"]) == ("invalid", "prerouting", ["rst"])
    assert not {"uid", "id"} & set(invalid["conntrack"]) and not played.flows(scene)


def test_the_whole_log_keeps_the_format_and_the_law(played, virtual_machine):
    assert not [*format_violations(played.records)]
    assert action(played.records[-1]) == "monitor-stop"
    virtual_machine.guest.run("flowkin", "--verify", LOG)


def test_the_unit_starts_and_reloads_here_too(virtual_machine):
    virtual_machine.configure({"output": {"updates": "all"}})
    virtual_machine.start()
    try:
        virtual_machine.make_flow(5001)
        virtual_machine.wait_action("flow-start", destination__port=5001)
        virtual_machine.reload()
        assert virtual_machine.show("ActiveState") == "active"
    finally:
        virtual_machine.stop()
    assert virtual_machine.show("Result") == "success"


def test_what_is_shipped_loads_the_modules_at_boot_and_sets_the_kernel_when_they_come_late(virtual_machine):
    guest = virtual_machine.guest
    settings = [f"net.netfilter.nf_conntrack_{name}" for name in ("acct", "timestamp", "events")]
    before = guest.run("sysctl", *settings).stdout.replace(" = ", "=").split()
    guest.run("cp", f"{EXAMPLES}/modules-load.d/flowkin.conf", "/etc/modules-load.d/")
    guest.run("modprobe", "--remove", "nf_conntrack_netlink")
    guest.run("systemctl", "restart", "systemd-modules-load")
    assert "nf_conntrack_netlink" in guest.run("lsmod").stdout
    try:
        guest.run("cp", f"{EXAMPLES}/udev/90-flowkin.rules", "/etc/udev/rules.d/")
        guest.run("cp", f"{EXAMPLES}/sysctl.d/50-flowkin.conf", "/etc/sysctl.d/")
        guest.run("sysctl", "--quiet", "--write", *(f"{name}=0" for name in settings))
        guest.run("/lib/systemd/systemd-udevd --daemon")
        guest.run("echo add >/sys/module/nf_conntrack/uevent; udevadm settle")  # as the kernel says it when it is loaded
        assert guest.run("sysctl", "--values", *settings).stdout == "1\n1\n1\n"
    finally:
        guest.run("udevadm control --exit; rm -f /etc/udev/rules.d/90-flowkin.rules /etc/sysctl.d/50-flowkin.conf")
        guest.run("sysctl", "--quiet", "--write", *before)
