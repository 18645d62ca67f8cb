"""Connections to one PostgreSQL."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import asyncpg

from relay.domain.errors import StoreUnavailable
from relay.store.postgres.failures import ERRORS, Broken, translated
from relay.store.postgres.planner import SETTINGS, set_local

# In quotes: a class with a parameter only for the type checker.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

PAUSE_S: Final = 0.2
"""After a connection could not be opened, nobody tries again for so long: whoever comes is refused at once, so that a
callback is in the spool and answered before its provider gives up."""
LONGER: Final = 1.25
"""An answer is waited for so much longer than the server may take: it then says so itself, and the connection lives."""
_STATEMENTS: Final = 1024


class Connections:
    """Opens connections, and waits a little between failures. ``pooler``: a pgbouncer in transaction mode lies between,
    which hands each transaction to another server process, so nothing may be prepared beyond a transaction."""

    def __init__(self, url: str, *, timeout_s: float, pooler: bool) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._cache = 0 if pooler else _STATEMENTS
        self._settings = {"application_name": "relay"} if pooler else {"application_name": "relay", **SETTINGS}
        self.local = f"; {set_local()}" if pooler else ""
        """What each transaction must be told besides, because a connection could not be."""
        self._failed: tuple[float, str] | None = None

    async def open(self) -> Connection:
        """A connection of our own. Raises StoreUnavailable."""
        if self._failed is not None and time.monotonic() - self._failed[0] < PAUSE_S:
            raise StoreUnavailable(self._failed[1])
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await asyncpg.connect(
                    self._url,
                    statement_cache_size=self._cache,
                    max_cached_statement_lifetime=0,
                    server_settings=self._settings,
                )
        except ValueError:
            # From None: what cannot be read of an address may be a piece of its password.
            raise StoreUnavailable("the address of PostgreSQL cannot be read") from None
        except ERRORS as error:
            failure = translated(error)
            self._failed = (time.monotonic(), str(failure))
            raise StoreUnavailable(str(failure)) from error
        self._failed = None
        return connection

    async def session(self) -> "Session":
        """A new connection that answers in time. Raises StoreUnavailable."""
        return Session(await self.open(), self._timeout_s * LONGER)


class Session:
    """A connection on which every statement is answered within ``limit_s``, or Broken is raised."""

    def __init__(self, connection: Connection, limit_s: float) -> None:
        self._connection = connection
        self._limit_s = limit_s

    @property
    def is_open(self) -> bool:
        """As far as is known: it may have broken while it lay idle."""
        return not self._connection.is_closed()

    async def execute(self, sql: str, *params: object) -> str:
        """What the server says it did, such as ``UPDATE 3``."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._connection.execute(sql, *params)
        except ERRORS as error:
            raise Broken from error

    async def execute_many(self, sql: str, params: Sequence[Sequence[Any]]) -> None:
        """Once for each, in one round trip."""
        try:
            async with asyncio.timeout(self._limit_s):
                await self._connection.executemany(sql, params)
        except ERRORS as error:
            raise Broken from error

    async def fetch(self, sql: str, *params: object) -> list[asyncpg.Record]:
        """All rows."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._connection.fetch(sql, *params)
        except ERRORS as error:
            raise Broken from error

    async def fetch_many(self, sql: str, params: Sequence[Sequence[Any]]) -> list[asyncpg.Record]:
        """All rows of each, one after the other, in one round trip."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._connection.fetchmany(sql, params)
        except ERRORS as error:
            raise Broken from error

    def drop(self) -> None:
        """Hang up."""
        self._connection.terminate()

    async def close(self) -> None:
        """Say good-bye."""
        await close(self._connection)


async def close(connection: Connection, *, within_s: float = 1.0) -> None:
    """Say good-bye, or hang up when nobody listens."""
    try:
        await connection.close(timeout=within_s)
    except ERRORS:
        connection.terminate()
