# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders of the log and of the state that flowkin cannot use: it says which, why, and what to do."""

import pytest
from flowkin import ROOT
from installed import LOG

ELSEWHERE = "/var/log/elsewhere"


def in_folder(folder):
    return {"output": {"destination": "file", "path": f"{folder}/flow.ndjson"}}


def refusal(installed):
    """What it says when it does not start, which is one line."""
    assert installed.start(check=False).returncode != 0
    assert installed.show("ExecMainStatus") == "74"
    said = installed.guest.run("journalctl -u flowkin -t flowkin -p err -o cat | sort -u").stdout.splitlines()
    assert len(said) == 1, installed.journal()
    return said[0]


@pytest.mark.parametrize("before, reason, remedy", (
    ("true", "does not exist", f"mkdir -p {ELSEWHERE}"),
    (f"install -d -m 700 {ELSEWHERE}", "Permission denied", f"chown flowkin {ELSEWHERE}"),
    (f"install -d -o flowkin {ELSEWHERE}", "Read-only file system", f"ReadWritePaths={ELSEWHERE}"),
    (f"ln -s /srv/flow {ELSEWHERE}", "symbolic link to a folder that does not exist", "mkdir -p /srv/flow"),
    (f"install -d -o flowkin /srv/flow; ln -s /srv/flow {ELSEWHERE}", "Read-only file system", "ReadWritePaths=/srv/flow"),
), ids=("missing", "of another user", "read-only", "a link to nothing", "a link to a read-only one"))
def test_a_log_folder_that_cannot_be_used_is_named_with_what_to_do(installed, before, reason, remedy):
    installed.guest.run(f"{before}; true")
    installed.configure(in_folder(ELSEWHERE))
    told = refusal(installed)
    assert f"{ELSEWHERE}/flow.ndjson" in told and reason in told and remedy in told


def test_what_it_says_to_do_is_enough(installed):
    installed.configure(in_folder(ELSEWHERE))
    installed.drop_in("once", "[Service]\nRestart=no\n")
    for remedy, do in (
            (f"mkdir -p {ELSEWHERE}", lambda: installed.guest.run("mkdir", "-p", ELSEWHERE)),
            (f"ReadWritePaths={ELSEWHERE}", lambda: installed.drop_in("folder", f"[Service]\nReadWritePaths={ELSEWHERE}\n")),
            (f"chown flowkin {ELSEWHERE}", lambda: installed.guest.run("chown", "flowkin", ELSEWHERE))):
        assert installed.start(check=False).returncode != 0
        assert remedy in installed.journal()
        do()
    installed.start()
    assert installed.wait_action("monitor-start", f"{ELSEWHERE}/flow.ndjson")


def test_a_log_that_is_a_link_is_not_followed(installed):
    installed.guest.run(f"install -d -o flowkin -g flowkin /var/log/flowkin; ln -s /srv/flow.ndjson {LOG}")
    installed.configure(in_folder("/var/log/flowkin"))
    told = refusal(installed)
    assert LOG in told and "symbolic link" in told and "name the file itself" in told


def test_a_log_of_another_user_says_whose_it_should_be(installed):
    installed.guest.run(f"install -d -o flowkin -g flowkin /var/log/flowkin; install -m 600 /dev/null {LOG}")
    installed.configure(in_folder("/var/log/flowkin"))
    # systemd gives a LogsDirectory= that is not flowkin's, and what is in it, to flowkin; this one is already.
    assert f"chown flowkin {LOG}" in refusal(installed)


@pytest.mark.parametrize("folder, status", (("/run", 233), ("/var/lib", 238), ("/var/log", 240)))
def test_a_link_in_place_of_a_folder_of_the_unit_is_refused_by_systemd_and_not_tried_again(installed, folder, status):
    installed.guest.run(f"install -d -o flowkin -g flowkin /srv/flow; ln -s /srv/flow {folder}/flowkin")
    assert installed.start(check=False).returncode != 0
    assert (installed.show("ExecMainStatus"), installed.show("NRestarts")) == (str(status), "0")
    assert f"{status}" in (ROOT / "docs/operations.md").read_text()


def test_a_log_on_another_disk_takes_what_operations_says(installed):
    installed.guest.run("install -d -o flowkin -g flowkin /srv/flow")
    installed.configure(in_folder("/srv/flow"))
    installed.drop_in("folder", "[Service]\nReadWritePaths=/srv/flow\n")
    installed.start()
    installed.make_flow(5001)
    installed.wait_action("flow-start", "/srv/flow/flow.ndjson", destination__port=5001)


def test_a_state_folder_that_cannot_be_used_is_told_and_the_log_goes_on(installed):
    installed.configure({"state": {"path": f"{ELSEWHERE}/flows.state"}})
    installed.start()
    installed.make_flow(5001)
    installed.wait_action("flow-start", destination__port=5001)
    assert f"mkdir -p {ELSEWHERE}" in installed.guest.wait_until("journalctl -t flowkin -p warning -o cat | grep 'state file'")
