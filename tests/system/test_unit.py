# SPDX-License-Identifier: GPL-2.0-or-later
"""The unit and what is shipped beside it, judged by systemd itself."""

import pytest
from flowkin import ROOT
from installed import EXAMPLES, UNIT

DROP_INS = sorted(path.name for path in (ROOT / "config/systemd").glob("10-*.conf"))
SETTINGS = ("acct", "timestamp", "events")


def use(installed, drop_in):
    """As the drop-in's own comment says."""
    installed.guest.run("install", "-D", "-m", "644", f"{EXAMPLES}/systemd/{drop_in}",
                        f"/etc/systemd/system/flowkin.service.d/{drop_in}")
    installed.systemctl("daemon-reload")


def test_systemd_has_nothing_to_say_about_the_unit(installed):
    done = installed.guest.run("systemd-analyze", "verify", "--man=no", UNIT)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_exposure_of_the_unit_is_at_most_1_3(installed):
    unit = f"/usr/lib/systemd/system/{UNIT}"
    installed.guest.run("systemd-analyze", "security", "--offline=yes", "--threshold=13", unit)
    assert installed.guest.run("systemd-analyze", "security", "--offline=yes", "--threshold=5", unit, check=False).returncode
    installed.guest.run("systemd-analyze", "security", "--threshold=13", UNIT)


# notify-reload is for a newer systemd than this one.
@pytest.mark.parametrize("drop_in", [name for name in DROP_INS if name != "10-notify-reload.conf"])
def test_with_a_drop_in_flowkin_starts_reloads_and_stops(installed, drop_in):
    use(installed, drop_in)
    done = installed.guest.run("systemd-analyze", "verify", "--man=no", UNIT)
    assert (done.stdout, done.stderr) == ("", "")
    installed.start()
    installed.reload()
    assert installed.show("ActiveState") == "active"
    installed.stop()
    assert installed.show("Result") == "success"


def test_the_drop_in_for_real_time_makes_it_so_and_no_more_than_that(installed):
    use(installed, "10-rt.conf")
    installed.start()
    assert "SCHED_RR" in installed.guest.run(f"chrt --all-tasks --pid {installed.pid()}").stdout
    installed.guest.run("systemd-analyze", "security", "--threshold=13", UNIT)


def test_the_drop_in_for_metrics_allows_sockets_of_the_internet_and_the_unit_alone_does_not(installed):
    probe = "import socket; socket.socket(socket.AF_INET); socket.socket(socket.AF_INET6)"
    wrapped = f"[Service]\nExecStartPre=/usr/bin/python3 -c '{probe}'\n"
    installed.drop_in("probe", wrapped)
    assert installed.start(check=False).returncode != 0
    assert "Address family not supported" in installed.journal()
    use(installed, "10-metrics-tcp.conf")
    installed.systemctl("reset-failed", UNIT)
    installed.start()


def test_the_drop_in_for_notify_reload_leaves_the_reload_to_systemd():
    lines = (ROOT / "config/systemd/10-notify-reload.conf").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["[Service]", "Type=notify-reload", "ExecReload="]


def test_the_settings_of_the_kernel_are_set_at_boot(installed):
    """By systemd-sysctl, from the example as it is."""
    guest = installed.guest
    guest.run("sysctl", "-qw", *(f"net.netfilter.nf_conntrack_{name}=0" for name in SETTINGS))
    installed.start()
    assert len([line for line in installed.journal().splitlines() if "nf_conntrack_" in line]) >= len(SETTINGS)
    guest.run("cp", f"{EXAMPLES}/sysctl.d/50-flowkin.conf", "/etc/sysctl.d/")
    installed.systemctl("restart", "systemd-sysctl")
    assert guest.run("cat", *(f"/proc/sys/net/netfilter/nf_conntrack_{name}" for name in SETTINGS)).stdout == "1\n1\n1\n"
