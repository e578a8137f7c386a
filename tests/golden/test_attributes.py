# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel said is in the lines, attribute by attribute.

captures/*.txt is another program's decoding of the same datagrams. Each of its attributes is looked for in the line
that the message became; what flowkin leaves out has to be in docs/event-format.md, with the reason.
"""

import copy
import datetime
import json
import pathlib
import re

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
FORMAT = FOLDER.parents[1] / "docs/event-format.md"
CAPTURES = sorted(path.stem for path in (FOLDER / "captures").glob("*.txt"))

# What no line has, by its name in the document's table of what is left out.
LEFT_OUT = {
    "USE": "CTA_USE",
    "PROTOINFO.wso": "CTA_PROTOINFO_TCP_WSCALE_*",
    "PROTOINFO.wsr": "CTA_PROTOINFO_TCP_WSCALE_*",
    "PROTOINFO.fo": "_TCP_FLAGS_*",
    "PROTOINFO.fr": "_TCP_FLAGS_*",
    "STATUS.SRC_NAT_DONE": "SRC_NAT_DONE",
    "STATUS.DST_NAT_DONE": "DST_NAT_DONE",
}
ATTRIBUTE = re.compile(r"([A-Z_]+)=(\{.*?\}|tcp\(.*?\)|pk=\d+ by=\d+|start=\d+(?: stop=\d+)?|\S+)")


class Message:
    """One line of a .txt: `#3 UPD af=2 fl=0x0 pid=0 TUPLE_ORIG={…} …`."""

    def __init__(self, text):
        head, self.kind = text.split()[:2]
        self.number = int(head[1:])
        self.port_id = int(re.search(r" pid=(\d+)", text)[1])
        self.attributes = {}
        for name, value in ATTRIBUTE.findall(text):
            if name == "PROTOINFO":
                for part in re.findall(r"(\w+)=(\w+)", value):
                    self.attributes[f"{name}.{part[0]}"] = part[1]
            elif name == "STATUS":
                for bit in re.search(r"\((.*)\)", value)[1].split("|"):
                    self.attributes[f"{name}.{bit}"] = bit
            else:
                self.attributes[name] = value
        if not self.is_expectation:
            self.attributes.setdefault("MARK", "0x0")  # the kernel leaves a mark of 0 out

    @property
    def is_expectation(self):
        return self.kind.startswith("X")


def messages(capture):
    lines = (FOLDER / f"captures/{capture}.txt").read_text().splitlines()
    return [Message(line) for line in lines if " af=" in line]


def records(capture):
    return [json.loads(line) for line in (FOLDER / f"lines/{capture}.ndjson").read_text().splitlines()]


def left_out_by_the_document():
    table = FORMAT.read_text().split("Left out, and why:")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (.+?) \| .+\|$", table, re.MULTILINE)
    return {name for cell in cells for name in re.split(r", | in ", cell)}


def parse_tuple(text):
    """{10.1.0.2>10.2.0.2 p=6 sp=1 dp=21} as source, destination and the rest as integers."""
    ends, *rest = text.strip("{}").split()
    source, destination = ends.split(">")
    return {"source": source, "destination": destination,
            **{key: int(value) for key, value in (part.split("=") for part in rest)}}


def tuple_of(record):
    """The original tuple that a record of a flow tells, in the same form."""
    told = {"source": record["source"]["ip"], "destination": record["destination"]["ip"],
            "p": int(record["network"]["iana_number"])}
    if "icmp" in record["conntrack"]:
        icmp = record["conntrack"]["icmp"]
        return {**told, "icmpid": icmp["id"], "type": icmp["type"], "code": icmp["code"]}
    return {**told, "sp": record["source"]["port"], "dp": record["destination"]["port"]}


def reply_of(record):
    """The reply tuple that it tells: the mirror of the original but for what NAT changed."""
    far = {**record["destination"], **record["destination"].get("nat", {})}
    near = {**record["source"], **record["source"].get("nat", {})}
    told = {"source": far["ip"], "destination": near["ip"], "p": int(record["network"]["iana_number"])}
    if "icmp" in record["conntrack"]:
        icmp = record["conntrack"]["icmp"]
        answer = {8: 0, 128: 129}[icmp["type"]]
        identifier = record["conntrack"].get("reply", {}).get("icmp", icmp)["id"]
        return {**told, "icmpid": identifier, "type": answer, "code": icmp["code"]}
    return {**told, "sp": far["port"], "dp": near["port"]}


def parent_of(record, flows):
    """The tuple of the parent: of the flow that its uid names, or as the record itself has it."""
    parent = record["conntrack"]["parent"]
    if "uid" in parent:
        return next(tuple_of(flow) for flow in flows if flow["conntrack"]["uid"] == parent["uid"])
    known = parent["tuple"]
    return {"source": known["source"]["ip"], "destination": known["destination"]["ip"],
            "p": {"tcp": 6, "udp": 17}[known["transport"]], "sp": known["source"]["port"],
            "dp": known["destination"]["port"]}


def nanoseconds(timestamp):
    whole, fraction = timestamp.rstrip("Z").split(".")
    return int(datetime.datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(fraction)


def times(value):
    return {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", value)}


def told_times(record):
    return {key: nanoseconds(record["event"][field]) for key, field in (("start", "start"), ("stop", "end"))
            if field in record["event"]}


def counters(value):
    return {"packets": int(value.split()[0][3:]), "bytes": int(value.split()[1][3:])}


def told_counters(end):
    return {key: end[key] for key in ("packets", "bytes")}


def bits(value):
    return [bit for bit in range(128) if bytes.fromhex(value)[bit // 8] >> (bit % 8) & 1]


def awaited(message):
    """The part of an expectation's tuple that its mask fixes."""
    expected, mask = parse_tuple(message.attributes["EXP_TUPLE"]), parse_tuple(message.attributes["EXP_MASK"])
    return {key: value for key, value in expected.items() if mask[key] not in (0, "0.0.0.0", "::")}


def told_awaited(record):
    found = {"p": int(record["network"]["iana_number"])}
    for side, port in (("source", "sp"), ("destination", "dp")):
        found |= {side: record[side]["ip"]} if "ip" in record.get(side, {}) else {}
        found |= {port: record[side]["port"]} if "port" in record.get(side, {}) else {}
    return found


def is_visible(name, message, record, flows):
    """Whether the line says what the attribute says. An attribute that is not known here is an error."""
    value, flow = message.attributes[name], record["conntrack"]
    if name.startswith("STATUS."):
        bit = {"SRC_NAT": "snat", "DST_NAT": "dnat"}.get(value, value.lower())
        return bit in flow["status"]
    expectation = flow.get("expectation", {})
    says = {
        "TUPLE_ORIG": lambda: tuple_of(record) == parse_tuple(value),
        "TUPLE_REPLY": lambda: reply_of(record) == parse_tuple(value),
        "TUPLE_MASTER": lambda: parent_of(record, flows) == parse_tuple(value),
        "ID": lambda: flow["id"] == int(value, 16),
        "MARK": lambda: flow["mark"] == int(value, 16),
        # What is left of the timeout means nothing once the flow is over.
        "TIMEOUT": lambda: message.kind == "DES" or flow["timeout"] == int(value),
        "PROTOINFO.state": lambda: flow["tcp"]["state"] == value,
        "HELP": lambda: flow["helper"] == value,
        "LABELS": lambda: flow["labels"] == bits(value),
        "ZONE": lambda: flow["zone"] == int(value),
        "COUNTERS_ORIG": lambda: told_counters(record["source"]) == counters(value),
        "COUNTERS_REPLY": lambda: told_counters(record["destination"]) == counters(value),
        "TIMESTAMP": lambda: told_times(record) == times(value),
        "TIMESTAMP_EVENT": lambda: nanoseconds(record["@timestamp"]) == int(value),
        "EXP_TUPLE": lambda: told_awaited(record) == awaited(message),
        "EXP_MASK": lambda: told_awaited(record) == awaited(message),
        "EXP_MASTER": lambda: parent_of(record, flows) == parse_tuple(value),
        # Likewise: the records of an expectation that is over say the timeout it was announced with.
        "EXP_TIMEOUT": lambda: message.kind == "XDES" or expectation["timeout"] == int(value),
        "EXP_ID": lambda: expectation["id"] == int(value, 16),
        "EXP_FLAGS": lambda: ("flags" in expectation) == (int(value, 0) != 0),
        "EXP_CLASS": lambda: expectation["class"] == int(value),
        "EXP_HELP_NAME": lambda: expectation["helper"] == value,
    }[name]
    try:
        return says()
    except KeyError:  # the line does not have the field
        return False


def missing(capture, lines):
    """Attributes of the capture that its lines do not tell: `#number NAME=value`."""
    flows = [line for line in lines if line["event"]["dataset"] == "flowkin.flow"]
    expectations = [line for line in lines if line["event"]["dataset"] == "flowkin.expectation"]
    told = {False: iter(flows), True: iter(expectations)}
    for message in messages(capture):
        record = next(told[message.is_expectation])
        for name, value in message.attributes.items():
            if name not in LEFT_OUT and not is_visible(name, message, record, flows):
                yield f"#{message.number} {name}={value}"
        if message.kind == "DES" and (message.port_id != 0) != ("deleted_by" in record["conntrack"]):
            yield f"#{message.number} pid={message.port_id}"
    assert not [*told[False], *told[True]], "lines that no message stands behind"


@pytest.mark.parametrize("capture", CAPTURES)
def test_each_attribute_of_a_capture_is_visible_in_its_lines(capture):
    assert not [*missing(capture, records(capture))]


def test_what_is_left_out_is_in_the_document_with_its_reason():
    assert set(LEFT_OUT.values()) <= left_out_by_the_document()


def test_the_captures_hold_what_is_said_to_be_left_out():
    seen = {name for capture in CAPTURES for message in messages(capture) for name in message.attributes}
    assert set(LEFT_OUT) <= seen


def without(record, path):
    record = copy.deepcopy(record)
    *above, last = path.split(".")
    inner = record
    for name in above:
        inner = inner.get(name, {})
    return record if inner.pop(last, None) is not None else None


@pytest.mark.parametrize("capture, path", [
    ("tcp4_acct", "conntrack.id"), ("tcp4_acct", "conntrack.tcp"), ("tcp4_acct", "conntrack.timeout"),
    ("tcp4_acct", "source.packets"), ("tcp4_acct", "event.start"), ("tcp4_acct", "event.end"),
    ("dnat_masq", "destination.nat"), ("dnat_masq", "source.nat"), ("ftp_passive", "conntrack.helper"),
    ("ftp_passive", "conntrack.parent"), ("ftp_passive", "conntrack.expectation.id"), ("ftp_passive", "conntrack.mark"),
    ("label", "conntrack.labels"), ("zone", "conntrack.zone"), ("icmp6", "conntrack.icmp"),
    ("tcp4_acct", "conntrack.deleted_by")])
def test_a_line_that_lost_a_field_would_be_noticed(capture, path):
    lines = records(capture)
    poorer = [without(record, path) or record for record in lines]
    assert poorer != lines
    assert [*missing(capture, poorer)]
