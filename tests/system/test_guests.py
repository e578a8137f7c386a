# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests keep their word: the other tests rely on it."""

import os
import pathlib

import guest as guests
import pytest


def leftovers(machine):
    """What is on the host of a guest: processes, control groups, mounts, folders."""
    found = [path for path in (machine.folder, pathlib.Path("/run/systemd/nspawn/propagate", machine.name)) if path.exists()]
    found += [path for hierarchy in guests._hierarchies() for path in hierarchy.glob(machine.name)]
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if machine.name in (process / "cmdline").read_text():
                found.append(process)
        except OSError:
            continue  # it has ended
    found += [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if machine.name in line]
    return found


def test_a_container_runs_systemd_and_journald(container):
    assert container.run("cat /proc/1/comm").stdout == "systemd\n"
    container.run("systemctl", "is-system-running", "--wait")
    container.run("systemctl", "is-active", "systemd-journald")
    container.run("logger", "-t", "us", "said")
    assert container.wait_until("journalctl -t us -o cat | grep .") == "said\n"


def test_a_command_gives_back_its_status_its_output_and_its_errors(container):
    done = container.run("cat; echo beside >&2; exit 7", input="over", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "over", "beside\n")
    with pytest.raises(guests.CommandFailed, match="exit 7"):
        container.run("exit 7")
    assert container.run("/no/such/program", check=False).returncode == 127


def test_a_command_that_takes_too_long_is_ended_and_the_guest_goes_on(container):
    with pytest.raises(guests.CommandFailed, match="not done in 0.5 s"):
        container.run("sleep 3600 & sleep 3600", timeout=0.5)
    assert container.run("pgrep -c sleep", check=False).stdout == "0\n"


def test_files_and_folders_go_there_and_come_back(container, tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "run").write_text("#!/bin/sh\nhead -c 300000 /dev/zero >result\n")
    (tmp_path / "below" / "run").chmod(0o755)
    container.put(tmp_path, "/payload")
    container.put("text", "/far/away/file")
    container.run("cd /payload/below && ./run")
    assert container.get("/payload/below/result") == bytes(300_000)
    assert container.get("/far/away/file") == b"text"
    assert container.run("stat -c %U:%a /payload/below/run").stdout == "root:755\n"


def test_the_next_guest_knows_nothing_of_the_one_before(image):
    for _ in range(2):
        with guests.Container(image) as machine:
            machine.run("test ! -e /left && touch /left")


def test_nothing_of_a_container_is_left_on_the_host_whatever_it_was_doing(image):
    with pytest.raises(RuntimeError, match="a test that fails"):
        with guests.Container(image) as machine:
            machine.run("systemd-run --quiet sleep 3600; setsid sleep 3600 >/dev/null 2>&1 & stress=1; "
                        "systemd-run --quiet sh -c 'trap \"\" TERM; while :; do :; done'")
            assert leftovers(machine)
            raise RuntimeError("a test that fails")
    assert leftovers(machine) == []


def test_a_guest_that_does_not_come_up_says_why_and_leaves_nothing(image, monkeypatch):
    monkeypatch.setattr(guests.Container, "boot_deadline_s", 0.01)
    machine = guests.Container(image)
    with pytest.raises(guests.CannotRun, match="did not come up in 0.01 s"):
        machine.__enter__()
    assert leftovers(machine) == []


@pytest.mark.xdist_group("virtual machine")
def test_a_virtual_machine_runs_debians_own_kernel_and_another_than_ours(virtual_machine):
    machine = virtual_machine.guest
    assert machine.run("uname -r").stdout.rstrip().endswith("-cloud-amd64") and os.uname().release not in machine.name
    assert machine.run("cat /proc/1/comm").stdout == "systemd\n"
    assert machine.run("systemd-detect-virt --vm", check=False).stdout in ("qemu\n", "kvm\n")
