# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md tells the truth: its recipes are run over a real log, its configuration is loaded, its line is held against
the format."""

import json
import os
import re
import signal
import subprocess

import flowkin as tool
import pytest
import schema_check
from flowkin import ROOT, Flowkin
from net import Topology
from test_families import MASQUERADE
from traffic import FtpClient, ftp_server, udp_exchange, udp_shot

pytestmark = pytest.mark.xdist_group("readme")  # one log for all of them

README = (ROOT / "README.md").read_text()
TIME = r"20\d\d-\d\d-\d\dT[\d:]{8}\.\d{9}Z"

# For each recipe, in order: what its output has to have somewhere, and what each line of it has to be.
RECIPES = [
    (r"10\.1\.0\.2\t10\.2\.0\.2\t21\tdeleted\t\d{3,}", r"[\da-f.:]+\t[\da-f.:]+\t\d*\t[a-z-]+\t\d*"),
    (r"\d{6,}\t10\.2\.0\.2", r"\d+\t[\da-f.:]+"),
    (TIME, rf"{TIME}\t{TIME}\t10\.1\.0\.2\t\d+\t\d+"),
    (r"flow-start\t21\t17\trule", rf"{TIME}\t[a-z-]+\t\d*\t\d*\t[a-z]*"),
    (r'"kernel-socket","count":\d+', r'\{"where":"[a-z-]+".*"until":"[^"]+".*\}'),
]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def recipes():
    return [block for block in blocks("sh") if block.rstrip().endswith("flow.ndjson")]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A folder with the log of an FTP transfer, a name that was looked up, and a burst that was too much."""
    folder = tmp_path_factory.mktemp("readme")
    config = {"conntrack": {"receive_buffer": "64KiB"}}
    with Topology(MASQUERADE) as net, Flowkin(folder, net.router, to="file", config=config) as flowkin:
        udp_exchange(net, 53)
        with ftp_server(net, size_bytes=500_000), FtpClient(net) as client, client.transfer():
            pass
        flowkin.wait_action("expectation-fulfilled")
        net.router.flush()
        flowkin.wait_action("flow-end", destination__port=21)
        flowkin.send(signal.SIGSTOP)
        for port in range(20_000, 21_000):
            udp_shot(net.client, net.SERVER[4], port)
        flowkin.send(signal.SIGCONT)
        flowkin.wait_action("events-lost")
        flowkin.wait_action("resync-completed", count=2)
    assert flowkin.path.name == "flow.ndjson"
    return folder


def test_there_are_five_recipes():
    assert len(recipes()) == len(RECIPES) == 5


@pytest.mark.parametrize("number", range(len(RECIPES)))
def test_a_recipe_prints_what_it_promises(log, number):
    done = subprocess.run(["sh", "-euc", recipes()[number]], cwd=log, capture_output=True, text=True, check=False,
                          env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
    assert (done.returncode, done.stderr) == (0, "")
    somewhere, each = RECIPES[number]
    assert re.search(somewhere, done.stdout), done.stdout[-500:]
    assert all(re.fullmatch(each, line) for line in done.stdout.splitlines()), done.stdout[-500:]


def test_the_log_passes_the_check_that_is_promised(log):
    verdict = tool.run("--verify", log / "flow.ndjson")
    assert verdict.returncode == 0, verdict.stdout


def test_the_family_of_the_recipe_has_two_members(log):
    done = subprocess.run(["sh", "-euc", recipes()[3]], cwd=log, capture_output=True, text=True, check=True)
    ends = [line for line in done.stdout.splitlines() if "\tflow-end\t" in line]
    assert len(ends) == 2 and sum("\t21\t" in line for line in ends) == 1


def test_the_line_that_is_shown_keeps_to_the_format():
    (block,) = blocks("json")
    record = json.loads(block)
    assert not [*schema_check.Schema().violations(record, "flow-end")]
    assert not [*schema_check.rule_violations(record)]


def test_the_configuration_that_is_shown_is_a_good_one(tmp_path):
    (block,) = blocks("toml")
    config = tmp_path / "flowkin.toml"
    config.write_text(block)
    config.chmod(0o644)
    checked = tool.run("--config", config, "--check-config")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_exit_statuses_and_signals_are_those_of_the_manual():
    manual = (ROOT / "man/flowkin.8").read_text()
    statuses = re.findall(r"^\| (\d+) \|", README, re.MULTILINE)
    assert statuses == re.findall(r"^\.It (\d+)$", manual, re.MULTILINE)
    for name in re.findall(r"^\| (SIG.*?) \|", README, re.MULTILINE):
        assert f".It Dv {name.replace(',', ' ,')}" in manual


def test_each_file_that_is_linked_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) >= 5
    assert not [link for link in links if not (ROOT / link).exists()]
