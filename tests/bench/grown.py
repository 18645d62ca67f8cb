"""The databases of ``growth``: filled to a size, with a team, an account and an endpoint of the measurement's own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from relay.ports import Store
from relay.store.migrate import migrate_postgres, migrate_sqlite
from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.sqlite import SqliteDriver
from relay.store.store import ScriptStore
from tests.postgres.found import Postgres
from tests.postgres.server import ADMIN, PostgresServer
from tests.postgres.servers import PostgresServers
from tests.store.builders import ENTROPY
from tests.store.growth.fill import Size
from tests.store.growth.filled_postgres import fill_postgres
from tests.store.growth.filled_sqlite import fill_sqlite

MOST_S: Final = 1_800.0


class Filled(NamedTuple):
    """How long it took, and what it takes."""

    seconds: float
    megabytes: float


class Engine(Protocol):
    """One engine, on a real disk."""

    name: str

    async def fill(self, size: Size) -> Filled:
        """A new database of this size."""

    def open(self, size: Size) -> contextlib.AbstractAsyncContextManager[Store]:
        """The store on it, as the gateway opens it."""


class Sqlite:
    """Files in ``directory``."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def fill(self, size: Size) -> Filled:
        path = self._path(size)
        migrate_sqlite(path)
        began = time.monotonic()
        await asyncio.to_thread(fill_sqlite, path, size)
        return Filled(time.monotonic() - began, path.stat().st_size / 1e6)

    @contextlib.asynccontextmanager
    async def open(self, size: Size) -> AsyncIterator[Store]:
        driver = SqliteDriver(self._path(size), Db(Queries.load("sqlite"), ENTROPY, None))
        store = ScriptStore(driver, KeyRing({"k1": bytes(32)}))
        try:
            yield store
        finally:
            await store.close()

    def _path(self, size: Size) -> Path:
        return self._directory / f"relay{size.recipients}.db"


class PostgreSQL:
    """Databases of one server, which keeps every commit on disk and has a little memory of its own."""

    def __init__(self, servers: PostgresServers, postgres: Postgres) -> None:
        self.name = postgres.name
        settings = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
        self._server: PostgresServer = servers.new(postgres, fsync=True, settings=settings)
        self._server.start()

    async def fill(self, size: Size) -> Filled:
        name = f"relay{size.recipients}"
        await migrate_postgres(self._server.create_database(name))
        began = time.monotonic()
        await fill_postgres(self._server.socket_url(name, ADMIN), size)
        # What autovacuum will have done by the time that it matters; and no checkpoint of the filling while we measure.
        for statement in ("VACUUM (ANALYZE)", "CHECKPOINT"):
            self._server.execute(name, statement, timeout_s=MOST_S)
        seconds = time.monotonic() - began
        return Filled(seconds, self._server.execute(name, "SELECT pg_database_size(current_database())")[0][0] / 1e6)

    @contextlib.asynccontextmanager
    async def open(self, size: Size) -> AsyncIterator[Store]:
        queries = Queries.load("postgres")
        url = self._server.url(f"relay{size.recipients}")
        store = ScriptStore(PostgresDriver(url, queries, Db(queries, ENTROPY, None)), KeyRing({"k1": bytes(32)}))
        try:
            yield store
        finally:
            await store.close()
