# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in the package, and that it is the same wherever it is built."""

import hashlib
import os
import re
import subprocess

import pytest
from flowkin import ROOT


def told(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def tree(deb, tmp_path_factory):
    """The package, unpacked; DEBIAN/ is its control part."""
    folder = tmp_path_factory.mktemp("deb") / "tree"
    told("dpkg-deb", "--raw-extract", deb, folder)
    return folder


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


def test_the_package_has_what_cmake_installs(tree, package):
    installed = {re.sub("^usr/lib/systemd/", "lib/systemd/", re.sub(r"(/man/.*)", r"\1.gz", name)) for name in files(package)}
    packed = {name for name in files(tree) if not name.startswith("DEBIAN/")}
    assert installed - packed == {"usr/share/doc/flowkin/LICENSE"}  # debian/copyright says it
    assert packed - installed == {f"usr/share/doc/flowkin/{name}" for name in ("copyright", "changelog.gz", "README.Debian")}


def test_the_package_has_the_version_of_the_program(deb):
    (version,) = re.findall(r"project\(flowkin VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert told("dpkg-deb", "--field", deb, "Version").strip() == version


def test_what_the_package_is_built_with_is_what_dev_installs():
    """Less what only the tests need, what each build of a package has, and what is in another one."""
    (listed,) = re.findall(r"^build_packages=\((.*?)^\)", (ROOT / "dev").read_text(), re.MULTILINE | re.DOTALL)
    (control,) = re.findall(r"^Build-Depends:(.*?)^\w", (ROOT / "debian/control").read_text(), re.MULTILINE | re.DOTALL)
    needed = {re.sub(r" \(.*?\)", "", words).split(" | ")[-1].strip() for words in control.split(",")}
    assert needed - {"debhelper-compat", "dh-sequence-installsysusers"} == \
        set(listed.split()) - {"build-essential", "ccache", "catch2", "libbenchmark-dev", "libfmt-dev"}


def test_only_the_configuration_is_the_operators(tree):
    assert (tree / "DEBIAN/conffiles").read_text().split() == ["/etc/flowkin/flowkin.toml"]


def test_the_package_sets_nothing_of_the_kernel(tree):
    names = files(tree)
    assert not [name for name in names if re.search(r"(sysctl|modules-load|udev)", name) and "/examples/" not in name]
    assert [name for name in names if "/examples/sysctl.d/" in name]


def test_the_user_is_there_before_the_service_starts(tree):
    script = (tree / "DEBIAN/postinst").read_text()
    assert 0 < script.index("systemd-sysusers") < script.index("deb-systemd-invoke")


def test_an_upgrade_restarts_and_does_not_stop(tree):
    """A stop would empty the store in which systemd keeps the event socket."""
    assert "deb-systemd-invoke $_dh_action" in (tree / "DEBIAN/postinst").read_text()
    stop = (tree / "DEBIAN/prerm").read_text()
    assert re.search(r'"\$1" = remove \].*deb-systemd-invoke stop', stop, re.DOTALL)


def test_the_readme_installs_the_package_that_was_built(deb):
    (pattern,) = re.findall(r"^apt-get install \./build/deb/(\S+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [*deb.parent.glob(pattern)] == [deb]


def test_the_commands_of_debians_readme_name_examples_that_are_there(tree):
    readme = (tree / "usr/share/doc/flowkin/README.Debian").read_text()
    named = re.findall(r"cp (\S+) /etc/", readme)
    assert len(named) == 3
    assert not [name for name in named if not (tree / "usr/share/doc/flowkin/examples" / name).exists()]


def test_a_build_elsewhere_at_another_time_with_another_umask_and_language_gives_the_same_bytes(packages, tmp_path):
    """Compiled anew, not taken from ccache."""
    other = tmp_path / "somewhere/else"
    environment = {**os.environ, "CCACHE_DISABLE": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C"}
    done = subprocess.run(["bash", "-c", 'umask 077 && exec debian/build.sh "$0"', other], cwd=ROOT, env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    def sums(folder):
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())
                if path.suffix in (".deb", ".dsc", ".xz")}

    assert len(sums(packages)) == 4  # the source, its description, the package, the debugging symbols
    assert sums(other) == sums(packages)
