# SPDX-License-Identifier: GPL-2.0-or-later
"""flowkin-event(5) leaves out nothing that the JSON Schema has."""

import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "man/flowkin-event.5").read_text()
SCHEMA = json.loads((ROOT / "docs/event.schema.json").read_text())
# Names that no line has; states of protocols, which the page leaves to the kernel.
FORBIDDEN = {name for name, value in SCHEMA["properties"].items() if value is False}
STATES = {"tcp", "sctp", "dccp"}


def names(node):
    """Each name and each word that the schema allows somewhere."""
    if isinstance(node, list):
        for each in node:
            yield from names(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$defs":
                value = {name: each for name, each in value.items() if name not in STATES}
            if key == "properties":
                yield from value
            if key in ("enum", "const"):
                yield from (word for each in (value if isinstance(value, list) else [value])
                            if isinstance(word := each, str))
            yield from names(value)


def lacking(page):
    words = set(re.findall(r"[@\w][\w.-]*\w|\d", page)) | set(re.findall(r"[@\w]+", page))
    return sorted({*names(SCHEMA)} - FORBIDDEN - words)


def test_the_page_names_each_field_action_and_word_of_the_schema():
    assert len({*names(SCHEMA)}) > 150
    assert not lacking(PAGE)


def test_a_field_that_the_page_forgot_is_found():
    assert lacking(PAGE.replace("mark_origin", "")) == ["mark_origin"]
    assert lacking(PAGE.replace("packet-reset", "")) == ["packet-reset"]
