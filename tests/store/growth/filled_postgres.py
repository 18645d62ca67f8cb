"""Fills a migrated PostgreSQL database."""

from datetime import UTC, datetime
from typing import Final

import asyncpg

from relay.domain.ids import first_id
from relay.domain.times import DAY_MS
from tests.store.builders import NOW_MS
from tests.store.growth.fill import SPAN_MS, Size, statements

MOST_S: Final = 1_800.0
# Indexes that belong to no constraint: built afterwards, which takes a fraction of the time.
_INDEXES: Final = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relnamespace = 'public'::regnamespace AND NOT t.relispartition
  AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)
"""
_PARTITIONED: Final = "SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace"
_PREPARE: Final = (
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '256MB'",
    "SET work_mem = '64MB'",
    """CREATE FUNCTION made_id(ms bigint, kind bigint, n bigint) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT int8send(ms << 16 | 28672 | kind) || int8send(n | (1::bigint << 63)) $$""",
    """CREATE FUNCTION made_bytes(size integer) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT convert_to(repeat('x', size), 'UTF8') $$""",
    "CREATE TABLE numbers (n bigint PRIMARY KEY)",
)
_TIDY: Final = ("DROP TABLE numbers", "DROP FUNCTION made_id", "DROP FUNCTION made_bytes")


async def fill_postgres(url: str, size: Size) -> None:
    """Filled, as a user who may make functions; nothing is analyzed, and autovacuum should be off until it may be."""
    connection = await asyncpg.connect(url, statement_cache_size=0, command_timeout=MOST_S)
    try:
        for statement in _PREPARE:
            await connection.execute(statement)
        await connection.execute(f"INSERT INTO numbers SELECT generate_series(1, {size.messages})")
        await connection.execute("ANALYZE numbers")
        for (table,) in await connection.fetch(_PARTITIONED):
            await _make_partitions(connection, table)
        indexes = await connection.fetch(_INDEXES)
        for name, _ in indexes:
            await connection.execute(f"DROP INDEX {name}")
        for statement in statements(size):
            await connection.execute(statement)
        for _, definition in indexes:
            # Of a partitioned table PostgreSQL tells what makes the index of the whole alone.
            await connection.execute(definition.replace(" ON ONLY ", " ON "))
        for statement in _TIDY:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _make_partitions(connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> None:
    """A partition for each UTC day, as relay/store/partitions.py would have made it in its time."""
    start_ms = NOW_MS - SPAN_MS
    for low_ms in range(start_ms - start_ms % DAY_MS, NOW_MS + DAY_MS, DAY_MS):
        day = datetime.fromtimestamp(low_ms / 1000, UTC)
        low, high = first_id(low_ms).hex(), first_id(low_ms + DAY_MS).hex()
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table}_p{day:%Y%m%d} PARTITION OF {table} "
            f"FOR VALUES FROM ('\\x{low}') TO ('\\x{high}')"
        )
