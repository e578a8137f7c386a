#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks lines of a flowkin log against the event format.

Every line: what shippers demand (shipper_rules.py), an event.id that ends in the sequence, and docs/event.schema.json,
for all lines or for each Nth of each action (--every N).

Of a Markdown file the lines between ```json and ``` are checked: the examples of docs/event-format.md.

Prints one line a violation (file, line number, what) and exits 1 where there is any, else 0.
"""
import argparse
import collections
import json
import pathlib
import sys

import jsonschema

import shipper_rules

SCHEMA_PATH = pathlib.Path(__file__).resolve().parents[2] / "docs" / "event.schema.json"


class Schema:
    """The schema with a validator for each action, so that a line is not held against the other actions' parts."""

    def __init__(self, path=SCHEMA_PATH):
        whole = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(whole)
        self.whole = jsonschema.Draft202012Validator(whole)
        self.by_action = {}
        for branch in whole["allOf"]:
            action = branch["if"]["properties"]["event"]["properties"]["action"]["const"]
            self.by_action[action] = jsonschema.Draft202012Validator({**whole, "allOf": [branch["then"]]})

    def violations(self, event, action):
        for error in self.by_action.get(action, self.whole).iter_errors(event):
            yield f"{'.'.join(map(str, error.absolute_path)) or 'line'}: {error.message[:200]}"


def action_of(event):
    action = event["event"].get("action") if isinstance(event.get("event"), dict) else None
    return action if isinstance(action, str) else None


def rule_violations(event):
    """What is wrong with a record, the schema apart."""
    yield from shipper_rules.record_violations(event)
    about = event.get("event")
    if isinstance(about, dict) and isinstance(about.get("sequence"), int):
        if not str(about.get("id")).endswith(f"{about['sequence']:016x}"):
            yield "event.id: does not end in event.sequence"


class Checker:
    def __init__(self, every=1, schema_path=SCHEMA_PATH):
        self.schema = Schema(schema_path)
        self.every = every
        self.seen = collections.Counter()

    def violations(self, line):
        """What is wrong with one line, given as bytes with its newline."""
        try:
            event = shipper_rules.parse(line)
        except ValueError as error:
            yield str(error)
            return
        yield from rule_violations(event)
        action = action_of(event)
        if self.seen[action] % self.every == 0:
            yield from self.schema.violations(event, action)
        self.seen[action] += 1


def json_blocks(markdown):
    """The lines of a Markdown file that stand between ```json and ```, with their numbers."""
    inside = False
    for number, line in enumerate(markdown, 1):
        if line.startswith(b"```"):
            inside = line.strip() == b"```json"
        elif inside:
            yield number, line


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("from 1")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="*", help="logs; none: standard input")
    parser.add_argument("--every", type=positive, default=1, metavar="N",
                        help="hold only each Nth line of each action against the schema")
    parser.add_argument("--quiet", action="store_true", help="print nothing, exit status only")
    parser.add_argument("--schema", type=pathlib.Path, default=SCHEMA_PATH)
    arguments = parser.parse_args()

    checker = Checker(arguments.every, arguments.schema)
    lines = found = 0
    for name in arguments.files or ["-"]:
        with sys.stdin.buffer if name == "-" else open(name, "rb") as log:
            for number, line in json_blocks(log) if name.endswith(".md") else enumerate(log, 1):
                lines += 1
                for violation in checker.violations(line):
                    found += 1
                    if not arguments.quiet:
                        print(f"{name}:{number}: {violation}")
    if not arguments.quiet:
        print(f"{lines} lines, {found} violations", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
