# SPDX-License-Identifier: GPL-2.0-or-later
"""The fields of docs/event.schema.json by their paths, for what must name each of them in another language."""

import json
import pathlib

SCHEMA_PATH = pathlib.Path(__file__).resolve().parents[2] / "docs/event.schema.json"
# By what a `$ref` is called, where the type alone does not say what the field is.
KINDS = {"time", "ip", "u32", "count", "port", "uid"}


class Fields:
    """`schema`: the JSON Schema. `kinds`: {path: kinds of its leaves}, a kind being one of KINDS or a JSON type; a list
    has its elements' kinds, as databases have it. `any_name`: objects whose members the schema does not name."""

    def __init__(self, schema=None):
        self.schema = schema or json.loads(SCHEMA_PATH.read_text())
        self.kinds = {}
        self.any_name = set()
        self._walk((), self.schema, None)

    def _walk(self, path, node, kind):
        if not isinstance(node, dict):
            return
        if "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            if name == "static_field":  # an operator's own
                return
            self._walk(path, self.schema["$defs"][name], name if name in KINDS else kind)
        for keyword in ("allOf", "anyOf", "oneOf"):
            for branch in node.get(keyword, ()):
                self._walk(path, branch, kind)
        for keyword in ("then", "else"):
            self._walk(path, node.get(keyword), kind)
        for name, member in node.get("properties", {}).items():
            self._walk((*path, name), member, None)
        for keyword in ("items", "contains"):
            self._walk(path, node.get(keyword), kind)
        for member in node.get("prefixItems", ()):
            self._walk(path, member, kind)
        if isinstance(node.get("additionalProperties"), dict):
            self._leave_open(path, node["additionalProperties"])
        self._note(path, node, kind)

    def _leave_open(self, path, member):
        if member.get("$ref") != "#/$defs/static_field":
            self.any_name.add(".".join(path))

    def _note(self, path, node, kind):
        types = node.get("type", [])
        types = set(types if isinstance(types, list) else [types])
        if not types:
            values = node.get("enum", [node["const"]] if "const" in node else [])
            values = [element for value in values for element in (value if isinstance(value, list) else [value])]
            types = {_type_of(value) for value in values}
        leaves = types - {"object", "array", "null"}
        if path and leaves:
            self.kinds.setdefault(".".join(path), set()).update({kind} if kind else leaves)


def _type_of(value):
    if isinstance(value, bool):
        return "boolean"
    return {int: "integer", str: "string"}[type(value)]
