"""The engines that the suite runs on: a new one is a class with the method of ``Engine`` and a row in ``ENGINES``."""

import contextlib
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Protocol

from relay.ports import Store, Straight
from relay.store.migrate import migrate_sqlite
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.sqlite import SqliteDriver
from relay.store.store import ScriptStore
from tests.store.builders import ENTROPY


class Database(Protocol):
    """A migrated database that nobody else uses."""

    def open(self, straight: Straight | None = None) -> contextlib.AbstractAsyncContextManager[Store]:
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
    async def open(self, straight: Straight | None = None) -> AsyncIterator[Store]:
        ring = KeyRing({"k1": bytes(32)})
        driver = SqliteDriver(self._path, Db(Queries.load("sqlite"), ENTROPY, straight))
        # No power cut comes here, and waiting for the disk is most of the suite's time.
        driver._connection.execute("PRAGMA synchronous=OFF")
        store = ScriptStore(driver, ring)
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


ENGINES: Final = {"sqlite": SqliteEngine}
