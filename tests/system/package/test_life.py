# SPDX-License-Identifier: GPL-2.0-or-later
"""The package's life on a machine with a real systemd: installed, upgraded, removed, purged."""

from flowkin import ROOT, action, field, matching
from router import CONFIG, LOG

SETTINGS = "net.netfilter.nf_conntrack_acct net.netfilter.nf_conntrack_timestamp net.netfilter.nf_conntrack_events"


def of(records, name):
    return [record for record in records if action(record) == name]


def test_the_service_runs_as_its_own_user_once_the_package_is_installed(router):
    before = router.run("sysctl", *SETTINGS.split()).stdout
    router.install()
    assert (router.show("ActiveState"), router.show("UnitFileState")) == ("active", "enabled")
    assert router.run("ps", "-o", "user=", "-p", router.show("MainPID")).stdout.split() == ["flowkin"]
    assert router.run("stat", "--format=%U:%G %a", "/var/log/flowkin").stdout.split() == ["flowkin:flowkin", "750"]
    router.guest.wait_until("journalctl -t flowkin -o cat _TRANSPORT=stdout | grep -q monitor-start")
    assert router.run("sysctl", *SETTINGS.split()).stdout == before


def test_the_smoke_test_of_the_package_passes(router):
    router.install()
    router.guest.put((ROOT / "debian/tests/smoke").read_text(), "/smoke")
    router.run("bash", "/smoke", timeout=120)  # a failure is an error
    assert router.run("ip", "netns", "list").stdout == ""


def test_an_upgrade_in_the_midst_of_traffic_loses_no_event(router):
    router.install()
    router.log_to_file()
    version, process = router.version(), router.show("MainPID")
    router.start_traffic()
    router.install("/later.deb")
    assert router.version() == version + "+later"
    assert router.show("ActiveState") == "active" and router.show("MainPID") != process
    made = router.stop_traffic()
    router.run("systemctl", "stop", "flowkin")

    records = router.lines()
    starts = of(records, "monitor-start")
    assert [field(start, "conntrack.monitor.state") for start in starts][-1] == "inherited-socket"
    assert not of(records, "events-lost")
    begun = [record for record in records if matching(event__action="flow-start", destination__port=9999)(record)]
    assert len(begun) == made >= 100
    assert {record["event"]["id"][:16] for record in begun} == {start["event"]["id"][:16] for start in starts[-2:]}
    router.run("flowkin", "--verify", LOG)


def test_an_upgrade_keeps_the_operators_configuration(router):
    router.install()
    router.log_to_file()
    mine = router.guest.get(CONFIG)
    router.install("/later.deb")
    assert router.guest.get(CONFIG) == mine
    assert b"[output]" in router.guest.get("/usr/share/doc/flowkin/examples/flowkin.toml")


def test_an_upgrade_that_refuses_the_configuration_is_done_and_the_unit_says_why(router):
    router.install()
    router.guest.put("[output]\nno_such_key = 1\n", CONFIG)
    router.install("/later.deb")
    assert (router.show("ActiveState"), router.show("ExecMainStatus")) == ("failed", "78")
    assert "no_such_key" in router.journal()


def test_a_package_that_is_removed_and_comes_back_goes_on_with_its_log_and_its_flows(router):
    router.install()
    router.log_to_file()
    router.apt_get("remove", "flowkin")
    assert router.run("systemctl is-active flowkin", check=False).stdout.strip() == "inactive"
    assert not router.has("/usr/sbin/flowkin")
    assert router.has(CONFIG) and router.has(LOG) and router.has("/var/lib/flowkin")
    (*_, before) = of(router.lines(), "monitor-start")

    router.install()
    router.guest.wait_until(f"grep -c monitor-start {LOG} | grep -qx 2")
    (*_, after) = of(router.lines(), "monitor-start")
    assert field(after, "conntrack.monitor.previous_run") == field(before, "conntrack.monitor.run")


def test_a_purge_takes_everything_that_was_flowkins(router):
    router.install()
    router.log_to_file()
    router.run("touch", LOG + ".20261123T045534Z-000001")
    router.apt_get("purge", "flowkin")
    left = router.run("find /etc /lib/systemd /var/lib /var/log /run /usr -xdev -iname '*flowkin*' -not -path '*/dpkg/*' "
                      "-not -path '/var/lib/systemd/*' -not -path '/var/log/journal/*'").stdout.split()
    assert left == []


def test_a_purge_leaves_what_others_put_beside_the_log(router):
    router.install()
    router.log_to_file()
    router.run("touch", "/var/log/flowkin/notes")
    router.apt_get("purge", "flowkin")
    assert router.run("ls", "/var/log/flowkin").stdout.split() == ["notes"]
