"""Connections to one PostgreSQL."""

import asyncio
import time
from typing import Final, TypeAlias

import asyncpg

from relay.domain.errors import StoreUnavailable
from relay.store.postgres.failures import translated

# In quotes: a class with a parameter only for the type checker.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

PAUSE_S: Final = 0.2
"""After a connection could not be opened, nobody tries again for so long: whoever comes is refused at once, so that a
callback is in the spool and answered before its provider gives up."""
_STATEMENTS: Final = 1024


class Connections:
    """Opens connections, and waits a little between failures. ``pooler``: a pgbouncer in transaction mode lies between,
    which hands each transaction to another server process, so nothing may be prepared beyond a transaction."""

    def __init__(self, url: str, *, timeout_s: float, pooler: bool) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._cache = 0 if pooler else _STATEMENTS
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
                    server_settings={"application_name": "relay"},
                )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            failure = translated(error)
            self._failed = (time.monotonic(), str(failure))
            raise StoreUnavailable(str(failure)) from error
        self._failed = None
        return connection


async def close(connection: Connection, *, within_s: float = 1.0) -> None:
    """Say good-bye, or hang up when nobody listens."""
    try:
        await connection.close(timeout=within_s)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()
