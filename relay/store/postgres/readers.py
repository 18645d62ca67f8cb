"""Reading beside the writers: a few connections, and each script sees one snapshot."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from relay.store.postgres.batch import Batch
from relay.store.postgres.connections import Connections, Session
from relay.store.postgres.failures import Broken, is_lost, translated
from relay.store.postgres.statements import Statements
from relay.store.script import Db, Script

T = TypeVar("T")


class Readers:
    """At most ``places`` connections, opened when they are needed."""

    def __init__(
        self, connections: Connections, statements: Statements, db: Db, *, places: int, timeout_s: float
    ) -> None:
        """``timeout_s``: see ``PostgresDriver``."""
        self._connections = connections
        self._statements = statements
        self._db = db
        self._wanted = places
        self._places = asyncio.Semaphore(places)
        self._idle: list[Session] = []
        self._opening = (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
            f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}; "
            f"SET LOCAL lock_timeout = {int(timeout_s * 500)}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {int(timeout_s * 1000)}{connections.local}"
        )

    async def read(self, script: Callable[[Db], Script[T]]) -> T:
        """What it returns. Raises what it raised, or StoreUnavailable."""
        async with self._places:
            while True:
                fresh = not self._idle
                session = await self._connections.session() if fresh else self._idle.pop()
                try:
                    return await self._run(session, script)
                except Broken as broken:
                    error = broken.__cause__ or broken
                    if fresh or not is_lost(error):
                        raise translated(error) from error
                    # It broke while it lay idle, and so have the others, in all likelihood.
                    self._drop_idle()

    async def close(self) -> None:
        """When all that is read has been read."""
        for _ in range(self._wanted):
            await self._places.acquire()
        while self._idle:
            await self._idle.pop().close()

    async def _run(self, session: Session, script: Callable[[Db], Script[T]]) -> T:
        whole = False
        try:
            await session.execute(self._opening)
            try:
                return await Batch(session, self._statements, reads=True).run(script, self._db)
            except asyncio.CancelledError:
                # In the middle of a statement: whoever gives up must not wait for the server to hear of it.
                session.drop()
                raise
            finally:
                if session.is_open:
                    await session.execute("ROLLBACK")
                    whole = True
        finally:
            if whole:
                self._idle.append(session)
            else:
                session.drop()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().drop()
