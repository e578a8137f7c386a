# SPDX-License-Identifier: GPL-2.0-or-later
"""What bash completes after `flowkin`, asked of bash itself."""

import re
import subprocess

import flowkin as tool
import pytest
from flowkin import BINARY, ROOT
from net import Namespace

# What bash does at a TAB: split the line, call the function that stands for the command, take COMPREPLY.
ASK = r"""
. /usr/share/bash-completion/bash_completion
. "$1"
compopt() { :; }  # says no outside of a real TAB
COMP_LINE=$2 COMP_POINT=${#2}
read -ra COMP_WORDS <<<"$2"
[[ $2 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"$(complete -p flowkin | sed -E 's/.*-F ([^ ]+) .*/\1/')" "$3" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def complete(line, folder=ROOT):
    done = subprocess.run(["bash", "-c", ASK, "ask", ROOT / "completions/flowkin", f"flowkin {line}", BINARY], cwd=folder,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def options():
    """{option: what it takes, or nothing} as --help has them."""
    found = re.findall(r"^ +(?:-\w,)?(--[\w-]+)(?: ([A-Z][A-Z=]*))?", tool.run("--help").stdout, re.MULTILINE)
    assert len(found) >= 10
    return dict(found)


def test_each_option_of_the_help_is_completed():
    assert complete("--") == set(options())


def test_a_beginning_is_completed():
    assert complete("--pri") == {"--print-config"}


@pytest.mark.parametrize("option", sorted(name for name, takes in options().items() if takes == "FILE"))
def test_an_option_that_takes_a_file_completes_files(option, tmp_path):
    for name in ("a.toml", "a.pcap", "a.ndjson"):
        (tmp_path / name).touch()
    assert complete(f"{option} a", tmp_path) & {"a.toml", "a.pcap", "a.ndjson"}


def test_further_logs_are_completed_after_verify(tmp_path):
    (tmp_path / "flow.ndjson").touch()
    assert complete("--verify flow.ndjson.1 fl", tmp_path) == {"flow.ndjson"}


def test_logs_are_completed_after_what_a_story_is_asked(tmp_path):
    (tmp_path / "flow.ndjson").touch()
    assert complete("--story 10.1.0.2 fl", tmp_path) == {"flow.ndjson"}
    assert complete("--story 10.1.0.2 flow.ndjson.1 fl", tmp_path) == {"flow.ndjson"}


def test_set_completes_each_key_of_the_configuration():
    shipped = (ROOT / "config/flowkin.toml").read_text()
    keys, table = set(), ""
    for header, key in re.findall(r"^(?:\[([\w.]+)\]|(\w+) =)", shipped, re.MULTILINE):
        table = header or table
        if key:
            keys.add(f"{table}.{key}=")
    assert "output.updates=" in keys
    assert complete("--set ") >= keys - {"output.fields="}
    assert complete("--set output.upd") == {"output.updates="}


def test_netns_completes_the_namespaces_that_there_are():
    namespace = Namespace("completion")
    try:
        assert complete(f"--netns {namespace.name[:-1]}") == {namespace.name}
    finally:
        namespace.delete()
    assert complete(f"--netns {namespace.name[:-1]}") == set()


def test_netns_completes_a_path():
    assert "/proc/self" in complete("--netns /proc/sel")
