# SPDX-License-Identifier: GPL-2.0-or-later
"""What `cmake --install` puts where, and what systemd thinks of the unit."""

import os
import shutil
import subprocess

import pytest
from flowkin import BUILD, ROOT

pytestmark = pytest.mark.xdist_group("install")
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")


def install(prefix, destdir=None):
    environment = {**os.environ, **({"DESTDIR": str(destdir)} if destdir else {})}
    return subprocess.run(["cmake", "--install", BUILD, "--strip", "--prefix", prefix], env=environment, check=True,
                          capture_output=True, text=True)


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """What a package would hold."""
    folder = tmp_path_factory.mktemp("stage")
    install("/usr", folder)
    return folder


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installation that can be run where it is."""
    folder = tmp_path_factory.mktemp("prefix")
    install(folder)
    return folder


def test_a_package_finds_each_file_in_its_place(stage):
    files = {str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file()}
    assert {"usr/sbin/flowkin", "etc/flowkin/flowkin.toml", "usr/lib/systemd/system/flowkin.service",
            "usr/lib/sysusers.d/flowkin.conf", "usr/share/man/man8/flowkin.8", "usr/share/man/man5/flowkin.toml.5",
            "usr/share/man/man5/flowkin-event.5", "usr/share/bash-completion/completions/flowkin",
            "usr/bin/flowkinctl", "usr/share/man/man1/flowkinctl.1",
            "usr/share/bash-completion/completions/flowkinctl", "usr/share/doc/flowkin/control.md",
            "usr/share/doc/flowkin/README.md", "usr/share/doc/flowkin/event-format.md",
            "usr/share/doc/flowkin/event.schema.json", "usr/share/doc/flowkin/examples/flowkin.toml",
            "usr/share/doc/flowkin/examples/sysctl.d/50-flowkin.conf",
            "usr/share/doc/flowkin/examples/modules-load.d/flowkin.conf",
            "usr/share/doc/flowkin/examples/systemd/10-namespace.conf",
            "usr/share/doc/flowkin/examples/udev/90-flowkin.rules"} <= files
    assert not [name for name in files if not name.startswith(("usr/", "etc/flowkin/"))]


def test_the_unit_of_a_package_is_the_one_in_the_tree(stage):
    unit = stage / "usr/lib/systemd/system/flowkin.service"
    assert unit.read_text() == (ROOT / "systemd/flowkin.service").read_text()


def test_below_another_prefix_the_unit_runs_what_is_there(prefix):
    unit = (prefix / "lib/systemd/system/flowkin.service").read_text()
    assert f"ExecStart={prefix}/sbin/flowkin --config {prefix}/etc/flowkin/flowkin.toml\n" in unit
    assert "/usr/sbin" not in unit and "=/etc" not in unit


def test_what_is_installed_runs_with_the_configuration_beside_it(prefix):
    checked = subprocess.run([prefix / "sbin/flowkin", "--config", prefix / "etc/flowkin/flowkin.toml", "--check-config"],
                             capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_operators_configuration_survives_an_upgrade(prefix):
    config = prefix / "etc/flowkin/flowkin.toml"
    shipped = config.read_text()
    config.write_text('[output]\nupdates = "all"\n')
    try:
        install(prefix)
        assert config.read_text() == '[output]\nupdates = "all"\n'
        assert (prefix / "share/doc/flowkin/examples/flowkin.toml").read_text() == shipped
    finally:
        config.write_text(shipped)


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(prefix):
    verdict = analyze("verify", "--man=no", prefix / "lib/systemd/system/flowkin.service")
    about_us = [line for line in verdict.stderr.splitlines() if "flowkin" in line]
    assert (verdict.returncode, about_us) == (0, [])


@needs_systemd
def test_the_unit_has_an_exposure_of_at_most_1_3(prefix):
    verdict = analyze("security", "--offline=yes", "--threshold=13", prefix / "lib/systemd/system/flowkin.service")
    assert verdict.returncode == 0, verdict.stdout[-500:]


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="there is no systemd-sysusers")
def test_the_user_of_the_unit_is_made_by_sysusers(stage, tmp_path):
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", stage / "usr/lib/sysusers.d/flowkin.conf"], check=True,
                   capture_output=True)
    assert (tmp_path / "etc/passwd").read_text().startswith("flowkin:")
    unit = (ROOT / "systemd/flowkin.service").read_text()
    assert "User=flowkin\nGroup=flowkin\n" in unit
