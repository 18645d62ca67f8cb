"""A million recipients on every engine, filled beside each other when the first test asks for one."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from relay.store.migrate import migrate_sqlite
from tests.postgres.found import found
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers
from tests.store.growth.fill import Size
from tests.store.growth.filled_sqlite import fill_sqlite
from tests.store.growth.looked import Looked, look, make

SIZE: Final = Size(recipients=1_000_000)
# Autovacuum would tell the planner of the rows when it pleases. Nothing here must outlive a crash.
_SETTINGS: Final = {
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
}


class Grown:
    """``sqlite`` has statistics: nobody of ours makes any, but who repairs a database by hand may."""

    def __init__(self, sqlite: "Future[sqlite3.Connection]", looked: "dict[str, Future[Looked]]") -> None:
        self._sqlite = sqlite
        self._looked = looked

    @property
    def sqlite(self) -> sqlite3.Connection:
        """The filled file."""
        return self._sqlite.result()

    def looked(self, server: str) -> Looked:
        """What was found on this one."""
        return self._looked[server].result()


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    servers = PostgresServers()
    try:
        made = {postgres.name: servers.new(postgres, settings=_SETTINGS) for postgres in found()}
        path = tmp_path_factory.mktemp("growth") / "relay.db"
        migrate_sqlite(path)
        for server in made.values():
            server.start()
            make(server)
        with ThreadPoolExecutor(len(made) + 1) as threads:
            looked = {name: threads.submit(_look, server) for name, server in made.items()}
            sqlite = threads.submit(_fill, path)
            yield Grown(sqlite, looked)
            sqlite.result().close()
    finally:
        servers.close()


def _look(server: PostgresServer) -> Looked:
    try:
        return look(server, SIZE)
    finally:
        server.close()


def _fill(path: Path) -> sqlite3.Connection:
    fill_sqlite(path, SIZE)
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("ANALYZE")
    connection.commit()
    return connection
