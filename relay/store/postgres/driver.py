"""The PostgreSQL driver: group commit as on SQLite, but by several writers in several processes.

Whatever queued while a writer's last commit ran goes into its next one. PostgreSQL runs READ COMMITTED; what a script
reads and then relies on is locked first (``Turn``, ``Db.hold``, FOR UPDATE in sql/postgres). Locks are taken in one
order where that can be foreseen; where it cannot, PostgreSQL finds the deadlock, all is undone, and each script runs
again alone.

Decision: two writers, not one, because a writer that waits for a lock of another process, or for the disk, would hold
up everybody; not many, because each commit's fsync then holds fewer scripts.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from relay.domain.errors import StoreUnavailable
from relay.store.postgres.connections import Connections
from relay.store.postgres.jobs import Job, Queue
from relay.store.postgres.readers import Readers
from relay.store.postgres.statements import Statements
from relay.store.postgres.writer import Writer
from relay.store.queries import Queries
from relay.store.script import ANY_TURN, Db, Script, Turn

T = TypeVar("T")


class PostgresDriver:
    """Runs scripts on one database. ``write`` returns when the commit is durable."""

    def __init__(
        self,
        url: str,
        queries: Queries,
        db: Db,
        *,
        writers: int = 2,
        readers: int = 4,
        timeout_s: float = 3.0,
        pooler: bool = False,
    ) -> None:
        """``timeout_s``: how long one statement, or the opening of a connection, may take; a lock is waited for half as
        long. ``pooler``: see ``Connections``."""
        connections = Connections(url, timeout_s=timeout_s, pooler=pooler)
        statements = Statements(queries)
        self._readers = Readers(connections, statements, db, places=readers, timeout_s=timeout_s)
        self._writers = [Writer(connections, statements, db, timeout_s=timeout_s) for _ in range(writers)]
        self._running: list[asyncio.Task[None]] = []
        self._queue = Queue()
        self._closed = False

    async def write(self, script: Callable[[Db], Script[T]], turn: Turn = ANY_TURN) -> T:
        """Run ``script`` in the next group commit. Raises what it raised, or StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if not self._running:
            self._running = [
                asyncio.create_task(writer.run(self._queue), name="relay-writer") for writer in self._writers
            ]
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(Job(script=script, turn=turn, future=future))
        return await future

    async def read(self, script: Callable[[Db], Script[T]]) -> T:
        """Run a script that only reads, on one snapshot, beside the writers."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await self._readers.read(script)

    async def close(self) -> None:
        """Finish what is queued, then let go of the server."""
        if self._closed:
            return
        self._closed = True
        self._queue.end()
        if self._running:
            # Not gather, which would cut the writers off when whoever closes gives up.
            await asyncio.wait(self._running)
        await self._readers.close()
