# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of config/ for log shippers and databases agree with flowkin: its paths, its lengths, each of its fields."""

import copy
import fnmatch
import json
import re
import tomllib

import pytest
import shipper_rules
import yaml
from schema_fields import Fields
from shippers import CONFIG

LOG = tomllib.loads((CONFIG / "flowkin.toml").read_text())["output"]["path"]
ROTATED = LOG + ".20261123T045534Z-000123"  # as lib/sink/rotated_files.cpp names them

FOLDERS = ("clickhouse", "elasticsearch", "filebeat", "fluent-bit", "logrotate", "rsyslog", "syslog-ng", "vector")
FILES = sorted(path for folder in FOLDERS for path in (CONFIG / folder).iterdir())

# What Elasticsearch has to make of each kind of field.
ELASTIC_TYPES = {"time": "date_nanos", "ip": "ip", "boolean": "boolean", "uid": "keyword", "string": "keyword",
                 "u32": "long", "count": "long", "port": "long", "integer": "long"}
PROSE = {"conntrack.monitor.text", "conntrack.monitor.refused", "conntrack.loss.detail"}  # read, not filtered by
NOT_OF_A_LINE = {"data_stream.type", "data_stream.dataset", "data_stream.namespace", "related.ip", "event.ingested"}


def as_yaml(name):
    return yaml.safe_load((CONFIG / name).read_text())


def as_json(name):
    return json.loads((CONFIG / name).read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIG)))
def test_each_file_says_how_it_was_checked(path):
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        assert content.get("policy", content)["_meta"]["checked"].startswith("Checked ")
    else:
        second = path.read_text().splitlines()[1]
        assert re.match(r"(#|--) Checked ", second)


def test_each_folder_has_a_file():
    assert {path.parent.name for path in FILES} == set(FOLDERS)


@pytest.mark.parametrize("patterns", [
    as_yaml("filebeat/flowkin.yml")["filebeat.inputs"][0]["paths"],
    as_yaml("vector/flowkin.yaml")["sources"]["flowkin"]["include"],
], ids=["filebeat", "vector"])
def test_what_knows_files_by_content_reads_the_log_and_its_rotated_files_and_no_other(patterns):
    def matches(path):
        return [pattern for pattern in patterns if fnmatch.fnmatchcase(path, pattern)]
    assert len(matches(LOG)) == 1
    assert len(matches(ROTATED)) == 1
    assert not matches(LOG + "-refused")


@pytest.mark.parametrize("name", ["rsyslog/flowkin.conf", "syslog-ng/flowkin.conf", "logrotate/flowkin",
                                  "fluent-bit/flowkin.yaml", "clickhouse/flowkin.sql"])
def test_what_knows_a_file_by_its_name_reads_the_log_alone(name):
    lines = [line for line in (CONFIG / name).read_text().splitlines() if LOG in line]
    assert len(lines) == 1
    assert re.search(re.escape(LOG) + r'(["\s;]|$)', lines[0])


def test_filebeat_takes_the_timestamp_from_the_line_and_knows_a_file_by_bytes_that_no_other_has():
    source, = as_yaml("filebeat/flowkin.yml")["filebeat.inputs"]
    assert source["type"] == "filestream"
    assert source["file_identity.fingerprint"] is None
    fingerprint = source["prospector.scanner"]["fingerprint"]
    assert fingerprint == {"enabled": True, "length": shipper_rules.FINGERPRINT_BYTES}
    journal, = as_yaml("filebeat/flowkin-journald.yml")["filebeat.inputs"]
    assert journal["type"] == "journald"
    for parsers in (source["parsers"], journal["parsers"]):
        ndjson = parsers[0]["ndjson"]
        assert ndjson["target"] == ""
        assert ndjson["overwrite_keys"] and not ndjson["expand_keys"]
        assert ndjson["document_id"] == "event.id"


def test_vector_takes_the_longest_line():
    source = as_yaml("vector/flowkin.yaml")["sources"]["flowkin"]
    assert source["max_line_bytes"] > shipper_rules.LINE_LONGEST
    assert source["fingerprint"] == {"strategy": "checksum"}


def test_vector_passes_lines_from_source_to_sink():
    config = as_yaml("vector/flowkin.yaml")
    outputs = {*config["sources"], *config["transforms"], "flowkin_record.dropped"}
    for part in (*config["transforms"].values(), *config["sinks"].values()):
        assert set(part["inputs"]) <= outputs


def test_fluent_bit_reads_the_timestamp_that_flowkin_writes():
    config = as_yaml("fluent-bit/flowkin.yaml")
    parser, = config["parsers"]
    source, = config["pipeline"]["inputs"]
    output, = config["pipeline"]["outputs"]
    assert source["parser"] == parser["name"]
    assert output["match"] == source["tag"]
    assert parser["time_key"] == "@timestamp"
    assert parser["time_format"] == "%Y-%m-%dT%H:%M:%S.%LZ"


def test_all_that_writes_to_elasticsearch_writes_the_data_stream_of_the_template():
    pattern, = as_json("elasticsearch/index_template.json")["index_patterns"]
    for name in ("flowkin.yml", "flowkin-journald.yml"):
        filebeat = as_yaml(f"filebeat/{name}")
        added = filebeat["processors"][-1]["add_fields"]["fields"]
        assert filebeat["output.elasticsearch"]["index"] == "{type}-{dataset}-{namespace}".format(**added)
        assert fnmatch.fnmatchcase(filebeat["output.elasticsearch"]["index"], pattern)
    vector = as_yaml("vector/flowkin.yaml")["sinks"]["elasticsearch"]["data_stream"]
    assert fnmatch.fnmatchcase("{type}-{dataset}-{namespace}".format(**vector), pattern)
    output, = as_yaml("fluent-bit/flowkin.yaml")["pipeline"]["outputs"]
    assert fnmatch.fnmatchcase(output["index"], pattern)


def leaves(properties, path=()):
    """{path: type} of an index template's mapping."""
    found = {}
    for name, field in properties.items():
        if "properties" in field:
            assert set(field) == {"properties"}
            found.update(leaves(field["properties"], (*path, name)))
        else:
            found[".".join((*path, name))] = field["type"]
    return found


def mapping_violations(fields, mapping):
    """Where a template does not do justice to the format's fields."""
    for path, kinds in fields.kinds.items():
        wanted = {"match_only_text"} if path in PROSE else {ELASTIC_TYPES[kind] for kind in kinds}
        if len(wanted) > 1:  # names or numbers, as in conntrack.labels
            wanted = {"keyword"}
        # What stands beside counters without a name of their own is mapped by its JSON type, by a dynamic template.
        dynamic = {"long", "keyword"} & wanted if path.rpartition(".")[0] in fields.any_name else set()
        if mapping.get(path, next(iter(dynamic), None)) not in wanted:
            yield f"{path} is mapped as {mapping.get(path)}, not {wanted}"
    for path in mapping.keys() - fields.kinds.keys() - NOT_OF_A_LINE:
        yield f"{path} is mapped, and no field"


@pytest.fixture(scope="module", name="fields")
def _fields():
    return Fields()


def test_each_field_of_the_format_has_a_mapping_of_its_type(fields):
    assert len(fields.kinds) > 120
    mapping = leaves(as_json("elasticsearch/index_template.json")["template"]["mappings"]["properties"])
    assert not [*mapping_violations(fields, mapping)]


def test_a_field_without_a_mapping_or_with_another_is_found(fields):
    mapping = leaves(as_json("elasticsearch/index_template.json")["template"]["mappings"]["properties"])
    del mapping["conntrack.loss.count"]
    mapping["conntrack.mark"] = "integer"  # too short for it
    mapping["conntrack.colour"] = "keyword"
    assert len([*mapping_violations(fields, mapping)]) == 3


def test_a_new_field_of_the_schema_is_seen_wherever_it_stands():
    schema = copy.deepcopy(Fields().schema)
    schema["$defs"]["network"]["properties"]["vlan"] = {"type": "integer"}
    schema["$defs"]["monitor-start"]["properties"]["conntrack"]["properties"]["monitor"]["properties"]["boot"] = {
        "type": ["string", "null"]}
    more = Fields(schema).kinds
    assert more.pop("network.vlan") == {"integer"}
    assert more.pop("conntrack.monitor.boot") == {"string"}
    assert more == Fields().kinds


def test_counters_that_the_schema_does_not_name_become_longs(fields):
    assert fields.any_name == {"conntrack.monitor", "conntrack.monitor.totals"}
    template, *_ = as_json("elasticsearch/index_template.json")["template"]["mappings"]["dynamic_templates"]
    (rule,) = template.values()
    assert rule["mapping"] == {"type": "long"}
    for name in ("conntrack.monitor.events", "conntrack.monitor.totals.events"):
        assert any(fnmatch.fnmatchcase(name, pattern) for pattern in rule["path_match"])


def test_the_template_names_the_policy_and_the_pipeline_that_lie_beside_it():
    index = as_json("elasticsearch/index_template.json")["template"]["settings"]["index"]
    assert index["lifecycle"]["name"] == index["default_pipeline"] == "flowkin"
    phases = as_json("elasticsearch/lifecycle_policy.json")["policy"]["phases"]
    assert {"hot", "delete"} <= phases.keys()


def test_each_address_goes_into_related_ip_where_it_is_there(fields):
    appended = {}
    for processor in as_json("elasticsearch/ingest_pipeline.json")["processors"]:
        if "append" in processor:
            append = processor["append"]
            assert append["field"] == "related.ip" and not append["allow_duplicates"]
            appended[append["value"].strip("{}")] = append["if"]
    assert set(appended) == {path for path, kinds in fields.kinds.items() if "ip" in kinds}
    for path, condition in appended.items():
        assert condition == "ctx." + "?.".join(path.split(".")) + " != null"


def test_the_pipeline_puts_back_the_id_that_filebeat_takes_for_the_document():
    first, *_ = as_json("elasticsearch/ingest_pipeline.json")["processors"]
    assert first["set"]["field"] == "event.id"
    assert first["set"]["value"] == "{{{_id}}}"


# JSONExtract(line, 'source', 'ip') and its relatives, and the column's name where it is followed by one.
EXTRACTS = re.compile(r"JSONExtract(String|Int|UInt)?\(line, ((?:'[^']*'(?:, )?)+)\)")
CLICKHOUSE_TYPES = {"String": {"string", "uid", "time", "ip"}, "Int": {"count", "integer", "u32"},
                    "UInt": {"count", "integer", "u32", "port"},
                    "Nullable(String)": {"string", "uid"}, "Nullable(Int64)": {"count", "integer"},
                    "Nullable(UInt32)": {"u32", "integer"}, "Nullable(UInt16)": {"port", "integer"},
                    "Array(String)": {"string"}}


def test_clickhouse_extracts_only_fields_of_the_format_with_their_types(fields):
    sql = (CONFIG / "clickhouse/flowkin.sql").read_text()
    extracts = EXTRACTS.findall(sql)
    assert len(extracts) == sql.count("JSONExtract")
    for suffix, words in extracts:
        *path, last = re.findall(r"'([^']*)'", words)
        type_, path = (suffix, [*path, last]) if suffix else (last, path)
        assert fields.kinds[".".join(path)] <= CLICKHOUSE_TYPES[type_], path


def test_clickhouse_fills_each_column_of_its_tables():
    sql = (CONFIG / "clickhouse/flowkin.sql").read_text()
    for table in ("event", "family"):
        body = re.search(rf"CREATE TABLE IF NOT EXISTS flowkin\.{table}\n\((.*?)\n\)\n", sql, re.DOTALL)[1]
        columns = [name for name in re.findall(r"^    (\w+) ", body, re.MULTILINE) if name != "INDEX"]
        view = re.search(rf" TO flowkin\.{table} AS\nSELECT\n(.*?)\nFROM", sql, re.DOTALL)[1]
        filled = re.findall(r"(?: AS |^    )(\w+)(?:,?$)", view, re.MULTILINE)
        assert filled == columns
