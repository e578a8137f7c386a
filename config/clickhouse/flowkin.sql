-- SPDX-License-Identifier: GPL-2.0-or-later
-- Checked with ClickHouse 26.7 (chDB): tests/golden/lines/ftp_passive.ndjson, inserted twice, gives 19 rows and one family of
-- two flows. tests/shippers holds its fields against docs/event.schema.json.
--
-- Tables for flowkin's lines, and a view of families. Lines come into flowkin.line as they are, from Vector, from Kafka, or:
--
--   clickhouse-client --query "INSERT INTO flowkin.line FORMAT LineAsString" < /var/log/flowkin/flow.ndjson
--
-- A line that comes twice is one row: event is read with FINAL, and the families' columns are such that a repetition
-- changes nothing. What a line does not have is NULL or an empty list, never 0;
-- in flowkin.family a flow without ports has port 0.

CREATE DATABASE IF NOT EXISTS flowkin;

-- Nothing is stored here: the views below take each line apart.
CREATE TABLE IF NOT EXISTS flowkin.line (line String) ENGINE = Null;

CREATE TABLE IF NOT EXISTS flowkin.event
(
    timestamp DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    id String CODEC(ZSTD),
    sequence Int64,
    host LowCardinality(String),
    dataset LowCardinality(String),
    action LowCardinality(String),
    reason LowCardinality(Nullable(String)),
    outcome LowCardinality(Nullable(String)),
    started Nullable(DateTime64(9, 'UTC')),
    ended Nullable(DateTime64(9, 'UTC')),
    duration Nullable(Int64),
    transport LowCardinality(Nullable(String)),
    community_id Nullable(String),
    source_ip Nullable(IPv6),
    source_port Nullable(UInt16),
    source_nat_ip Nullable(IPv6),
    source_nat_port Nullable(UInt16),
    source_packets Nullable(Int64),
    source_bytes Nullable(Int64),
    destination_ip Nullable(IPv6),
    destination_port Nullable(UInt16),
    destination_nat_ip Nullable(IPv6),
    destination_nat_port Nullable(UInt16),
    destination_packets Nullable(Int64),
    destination_bytes Nullable(Int64),
    uid Nullable(String),
    kernel_id Nullable(UInt32),
    zone Nullable(UInt16),
    mark Nullable(UInt32),
    mark_origin LowCardinality(Nullable(String)),
    status Array(LowCardinality(String)),
    gaps Array(LowCardinality(String)),
    helper LowCardinality(Nullable(String)),
    parent_uid Nullable(String),
    root_uid Nullable(String),
    depth Nullable(UInt32),
    loss_where LowCardinality(Nullable(String)),
    loss_count Nullable(Int64),
    line String CODEC(ZSTD(3)),
    INDEX source source_ip TYPE bloom_filter GRANULARITY 4,
    INDEX destination destination_ip TYPE bloom_filter GRANULARITY 4,
    INDEX source_nat source_nat_ip TYPE bloom_filter GRANULARITY 4,
    INDEX flow uid TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(timestamp)
ORDER BY (timestamp, id)
TTL toDateTime(timestamp) + INTERVAL 30 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS flowkin.line_to_event TO flowkin.event AS
SELECT
    parseDateTime64BestEffort(JSONExtractString(line, '@timestamp'), 9, 'UTC') AS timestamp,
    JSONExtractString(line, 'event', 'id') AS id,
    JSONExtractInt(line, 'event', 'sequence') AS sequence,
    JSONExtractString(line, 'host', 'name') AS host,
    JSONExtractString(line, 'event', 'dataset') AS dataset,
    JSONExtractString(line, 'event', 'action') AS action,
    JSONExtract(line, 'event', 'reason', 'Nullable(String)') AS reason,
    JSONExtract(line, 'event', 'outcome', 'Nullable(String)') AS outcome,
    parseDateTime64BestEffortOrNull(JSONExtractString(line, 'event', 'start'), 9, 'UTC') AS started,
    parseDateTime64BestEffortOrNull(JSONExtractString(line, 'event', 'end'), 9, 'UTC') AS ended,
    JSONExtract(line, 'event', 'duration', 'Nullable(Int64)') AS duration,
    JSONExtract(line, 'network', 'transport', 'Nullable(String)') AS transport,
    JSONExtract(line, 'network', 'community_id', 'Nullable(String)') AS community_id,
    toIPv6OrNull(JSONExtractString(line, 'source', 'ip')) AS source_ip,
    JSONExtract(line, 'source', 'port', 'Nullable(UInt16)') AS source_port,
    toIPv6OrNull(JSONExtractString(line, 'source', 'nat', 'ip')) AS source_nat_ip,
    JSONExtract(line, 'source', 'nat', 'port', 'Nullable(UInt16)') AS source_nat_port,
    JSONExtract(line, 'source', 'packets', 'Nullable(Int64)') AS source_packets,
    JSONExtract(line, 'source', 'bytes', 'Nullable(Int64)') AS source_bytes,
    toIPv6OrNull(JSONExtractString(line, 'destination', 'ip')) AS destination_ip,
    JSONExtract(line, 'destination', 'port', 'Nullable(UInt16)') AS destination_port,
    toIPv6OrNull(JSONExtractString(line, 'destination', 'nat', 'ip')) AS destination_nat_ip,
    JSONExtract(line, 'destination', 'nat', 'port', 'Nullable(UInt16)') AS destination_nat_port,
    JSONExtract(line, 'destination', 'packets', 'Nullable(Int64)') AS destination_packets,
    JSONExtract(line, 'destination', 'bytes', 'Nullable(Int64)') AS destination_bytes,
    JSONExtract(line, 'conntrack', 'uid', 'Nullable(String)') AS uid,
    JSONExtract(line, 'conntrack', 'id', 'Nullable(UInt32)') AS kernel_id,
    JSONExtract(line, 'conntrack', 'zone', 'Nullable(UInt16)') AS zone,
    JSONExtract(line, 'conntrack', 'mark', 'Nullable(UInt32)') AS mark,
    JSONExtract(line, 'conntrack', 'mark_origin', 'Nullable(String)') AS mark_origin,
    JSONExtract(line, 'conntrack', 'status', 'Array(String)') AS status,
    JSONExtract(line, 'conntrack', 'gaps', 'Array(String)') AS gaps,
    JSONExtract(line, 'conntrack', 'helper', 'Nullable(String)') AS helper,
    JSONExtract(line, 'conntrack', 'parent', 'uid', 'Nullable(String)') AS parent_uid,
    JSONExtract(line, 'conntrack', 'lineage', 'root', 'Nullable(String)') AS root_uid,
    JSONExtract(line, 'conntrack', 'lineage', 'depth', 'Nullable(UInt32)') AS depth,
    JSONExtract(line, 'conntrack', 'loss', 'where', 'Nullable(String)') AS loss_where,
    JSONExtract(line, 'conntrack', 'loss', 'count', 'Nullable(Int64)') AS loss_count,
    line
FROM flowkin.line
WHERE isValidJSON(line);

-- A row a flow, by its family: its root is itself where it has no parent. Counters of a flow only grow, so the greatest
-- is the last, and a line that comes twice adds nothing.
CREATE TABLE IF NOT EXISTS flowkin.family
(
    root_uid String,
    uid String,
    parent_uid SimpleAggregateFunction(max, String),
    depth SimpleAggregateFunction(max, UInt32),
    first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
    ended SimpleAggregateFunction(max, UInt8),
    transport SimpleAggregateFunction(max, String),
    source_ip SimpleAggregateFunction(max, IPv6),
    destination_ip SimpleAggregateFunction(max, IPv6),
    destination_port SimpleAggregateFunction(max, UInt16),
    packets SimpleAggregateFunction(max, Nullable(Int64)),
    bytes SimpleAggregateFunction(max, Nullable(Int64))
)
ENGINE = AggregatingMergeTree
ORDER BY (root_uid, uid)
TTL toDateTime(last_seen) + INTERVAL 30 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS flowkin.line_to_family TO flowkin.family AS
SELECT
    if(JSONHas(line, 'conntrack', 'lineage', 'root'), JSONExtractString(line, 'conntrack', 'lineage', 'root'),
       JSONExtractString(line, 'conntrack', 'uid')) AS root_uid,
    JSONExtractString(line, 'conntrack', 'uid') AS uid,
    JSONExtractString(line, 'conntrack', 'parent', 'uid') AS parent_uid,
    toUInt32(JSONExtractUInt(line, 'conntrack', 'lineage', 'depth')) AS depth,
    parseDateTime64BestEffort(JSONExtractString(line, '@timestamp'), 9, 'UTC') AS first_seen,
    parseDateTime64BestEffort(JSONExtractString(line, '@timestamp'), 9, 'UTC') AS last_seen,
    toUInt8(JSONExtractString(line, 'event', 'action') = 'flow-end') AS ended,
    JSONExtractString(line, 'network', 'transport') AS transport,
    toIPv6OrDefault(JSONExtractString(line, 'source', 'ip')) AS source_ip,
    toIPv6OrDefault(JSONExtractString(line, 'destination', 'ip')) AS destination_ip,
    toUInt16(JSONExtractUInt(line, 'destination', 'port')) AS destination_port,
    JSONExtract(line, 'network', 'packets', 'Nullable(Int64)') AS packets,
    JSONExtract(line, 'network', 'bytes', 'Nullable(Int64)') AS bytes
FROM flowkin.line
WHERE JSONExtractString(line, 'event', 'dataset') = 'flowkin.flow';

-- Families of more than one flow, the busiest first:
--
--   SELECT root_uid, count() AS flows, sum(bytes) AS bytes, min(first_seen), max(last_seen), min(ended) AS all_ended
--   FROM flowkin.family FINAL GROUP BY root_uid HAVING flows > 1 ORDER BY bytes DESC LIMIT 20;
--
-- Who was behind 198.51.100.7 when it spoke to port 25 at that time:
--
--   SELECT started, ended, source_ip, source_port FROM flowkin.event FINAL
--   WHERE action = 'flow-end' AND source_nat_ip = toIPv6('198.51.100.7') AND destination_port = 25
--     AND started <= '2026-11-24 10:00:00' AND ended >= '2026-11-24 10:00:00';
