# SPDX-License-Identifier: GPL-2.0-or-later
"""The statements of docs/conntrack-semantics.md and the experiments that pin them.

A statement is a bold sentence with a link to the file of its test; the test's docstring is the same sentence. Run as a
program it runs the experiments and prints what this kernel does.
"""

import ast
import os
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/conntrack-semantics.md"
EXPERIMENTS = ROOT / "tests/live/semantics"
STATEMENT = re.compile(r"\*\*([^*]+)\*\*\s+\[shown\]\((.+?)\)")


def one_line(text):
    return " ".join(text.split())


def stated():
    """What the page says, in its order: {sentence: the file that shows it}."""
    return {one_line(sentence): (PAGE.parent / link).resolve()
            for sentence, link in STATEMENT.findall(PAGE.read_text())}


def experiments():
    """What the tests show: {sentence: (file, the test's name)}."""
    shown = {}
    for path in sorted(EXPERIMENTS.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                shown[one_line(ast.get_docstring(node) or f"{node.name} says nothing")] = (path, node.name)
    return shown


class Outcomes:
    """A pytest plugin: what became of each test, over all its parameters."""

    def __init__(self):
        self.failed, self.skipped, self.passed = {}, {}, set()

    def pytest_runtest_logreport(self, report):
        name = report.location[2].split("[")[0]
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.failed[name] = one_line(crash.message if crash else str(report.longrepr)).removeprefix("AssertionError: ")
        elif report.skipped:
            self.skipped[name] = report.longrepr[2].removeprefix("Skipped: ")
        elif report.when == "call":
            self.passed.add(name)

    def of(self, name):
        """A word for the outcome, and what is to be said of it."""
        if name in self.failed:
            return "differs", self.failed[name]
        if name in self.skipped:
            return "not seen", self.skipped[name]
        return ("holds", "") if name in self.passed else ("not run", "")


def main():
    import pytest  # the tree's own tests read this file without it

    outcomes = Outcomes()
    os.chdir(ROOT)
    status = pytest.main([str(EXPERIMENTS), "-p", "no:cacheprovider", "-p", "no:terminal", "-W", "ignore"],
                         plugins=[outcomes])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return int(status)
    print(f"Linux {os.uname().release}\n")
    shown, counts = experiments(), {}
    for sentence in stated():
        outcome, reason = outcomes.of(shown[sentence][1])
        counts[outcome] = counts.get(outcome, 0) + 1
        print(textwrap.fill(sentence, 110, initial_indent=f"{outcome:<10}", subsequent_indent=" " * 10))
        if reason:
            print(textwrap.fill(textwrap.shorten(reason, 300), 110, initial_indent=" " * 10 + "→ ",
                                subsequent_indent=" " * 12))
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    return int(bool(outcomes.failed))


if __name__ == "__main__":
    sys.exit(main())
