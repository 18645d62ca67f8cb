"""Fills a migrated SQLite file."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from tests.store.growth.fill import Size, made_bytes, made_id, statements

_INDEXES: Final = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"


def fill_sqlite(path: Path, size: Size) -> None:
    """Filled; nothing is analyzed, as nothing ever is there."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Nobody needs what a power cut would leave here.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-524288", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("made_id", 3, made_id, deterministic=True)
        connection.create_function("made_bytes", 1, made_bytes, deterministic=True)
        connection.execute("CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY)")
        connection.execute(
            "INSERT INTO numbers WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?)"
            " SELECT n FROM up",
            (size.messages,),
        )
        # Built afterwards, which takes a fraction of the time.
        indexes = connection.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for statement in [*statements(size), *(definition for _, definition in indexes)]:
            connection.execute(statement)
        connection.execute("DROP TABLE numbers")
        connection.execute("PRAGMA journal_mode=WAL")
