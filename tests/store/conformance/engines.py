"""The engines that the suite runs on: a new one is a class with the method of ``Engine`` and a row in ``ENGINES``.

One that needs a PostgreSQL takes ``servers.shared(postgres)`` for each ``postgres`` of ``found()``: it is started only
when the first test of that engine runs.
"""

import contextlib
import itertools
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Protocol

from relay.ports import Store, Straight
from relay.store.live_ring import LiveRing
from relay.store.migrate import migrate_sqlite, run_migrate_postgres
from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.sqlite import SqliteDriver
from relay.store.store import ScriptStore
from tests.postgres.found import Postgres, found
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers
from tests.store.builders import ENTROPY

RING: Final = KeyRing({"k1": bytes(32)})


class Database(Protocol):
    """A migrated database that nobody else uses."""

    def open(
        self, straight: Straight | None = None, ring: KeyRing | LiveRing | None = None
    ) -> contextlib.AbstractAsyncContextManager[Store]:
        """The store on it; closed at the end, and it may be opened again."""

    def execute(self, sql: str, *params: object) -> list[Any]:
        """For what no method of the port does."""

    def stored_bytes(self) -> bytes:
        """All that an attacker who has the disk can read."""


class Engine(Protocol):
    """Makes databases."""

    def new(self) -> Database:
        """An empty one."""


class SqliteDatabase:
    """A file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.asynccontextmanager
    async def open(
        self, straight: Straight | None = None, ring: KeyRing | LiveRing | None = None
    ) -> AsyncIterator[Store]:
        driver = SqliteDriver(self._path, Db(Queries.load("sqlite"), ENTROPY, straight))
        # No power cut comes here, and waiting for the disk is most of the suite's time.
        driver._connection.execute("PRAGMA synchronous=OFF")
        store = ScriptStore(driver, ring or RING)
        try:
            yield store
        finally:
            await store.close()

    def execute(self, sql: str, *params: object) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            return connection.execute(sql, params).fetchall()

    def stored_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in self._path.parent.glob(self._path.name + "*"))


class SqliteEngine:
    """Copies one migrated file: migrating takes longer than most tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template.db"
        self._numbers = itertools.count(1)
        migrate_sqlite(self._template)

    def new(self) -> SqliteDatabase:
        path = self._folder / f"relay{next(self._numbers)}.db"
        shutil.copy(self._template, path)
        return SqliteDatabase(path)


class PostgresDatabase:
    """A database of a server that all tests share."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self._server = server
        self._name = name

    @contextlib.asynccontextmanager
    async def open(
        self, straight: Straight | None = None, ring: KeyRing | LiveRing | None = None
    ) -> AsyncIterator[Store]:
        queries = Queries.load("postgres")
        driver = PostgresDriver(self._server.url(self._name), queries, Db(queries, ENTROPY, straight))
        store = ScriptStore(driver, ring or RING)
        try:
            yield store
        finally:
            await store.close()

    def execute(self, sql: str, *params: object) -> list[Any]:
        numbers = itertools.count(1)
        rows = self._server.execute(self._name, re.sub(r"\?", lambda _: f"${next(numbers)}", sql), *params)
        return [tuple(row) for row in rows]

    def stored_bytes(self) -> bytes:
        tables = self.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [row for (table,) in tables for row in self.execute(f'SELECT * FROM "{table}"')]  # noqa: S608 - the server's own names
        return b"\0".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)


class PostgresEngine:
    """Empties one migrated database: making a new one takes longer than most tests."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        run_migrate_postgres(server.create_database("conformance"))
        database = PostgresDatabase(server, "conformance")
        tables = database.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
        )
        # Not TRUNCATE, which makes new files for every table and index.
        self._empty = "; ".join(f"DELETE FROM {table}" for (table,) in tables)  # noqa: S608 - the server's own names
        self._database = database

    def new(self) -> PostgresDatabase:
        # As a replica, for which no trigger fires: the audit keeps its rows.
        unkept = "SET LOCAL session_replication_role = replica"
        self._server.execute("conformance", f"DO $$ BEGIN {unkept}; {self._empty}; END $$")
        self._server.execute("conformance", _NO_DAYS)
        return self._database


# Partitions that the test before has made: an old one would be dropped, and told of, by the next.
_NO_DAYS: Final = """DO $$ DECLARE name regclass; BEGIN
FOR name IN SELECT oid::regclass FROM pg_class WHERE relispartition AND relkind = 'r' AND relname NOT LIKE '%_default'
LOOP EXECUTE 'DROP TABLE ' || name; END LOOP; END $$"""

Make = Callable[[Path, PostgresServers], Engine]
"""Of an empty folder and the PostgreSQL servers of the test run."""


def _on(postgres: Postgres) -> Make:
    return lambda _folder, servers: PostgresEngine(servers.shared(postgres))


ENGINES: Final[dict[str, Make]] = {
    "sqlite": lambda folder, _servers: SqliteEngine(folder),
    **{postgres.name: _on(postgres) for postgres in found()},
}
