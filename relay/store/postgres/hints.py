"""LISTEN and NOTIFY: telling the other replicas that there is something to look at.

Only a hint, on top of asking once a second: a hint may be lost (a connection that breaks, a pooler in between) or come
twice, and nothing depends on it but how soon another replica looks.

Decision: hints go out on a connection of their own and at most every ``QUIET_S``, not in the transaction that they tell
of, because every commit that notifies takes one lock of the whole server.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg

from relay.domain.errors import StoreUnavailable
from relay.ports import Clock, HintTopic
from relay.store.postgres.connections import Connection, Connections, close

QUIET_S: Final = 0.02
"""Hints of so long a time go out together."""
LOOK_S: Final = 5.0
"""How often a connection that hears nothing is asked whether it still lives."""
_CHANNEL: Final = "relay"


class PostgresHints:
    """The hints of this process. ``own`` tells its own from those of others, which it would hear, too."""

    def __init__(self, connections: Connections, clock: Clock, own: str) -> None:
        self._connections = connections
        self._clock = clock
        self._own = own
        self._topics: set[HintTopic] = set()
        self._event = asyncio.Event()
        self.heard: Callable[[HintTopic], None] = _nothing
        """Called for each topic that another replica tells of."""

    def tell(self, topic: HintTopic) -> None:
        """Others should look at this soon."""
        self._topics.add(topic)
        self._event.set()

    async def run(self) -> None:
        """Listen, and pass on what is told, for ever. Raises StoreUnavailable when the connection is lost."""
        connection = await self._connections.open()
        try:
            await connection.add_listener(_CHANNEL, self._hear)
            while True:
                await self._pass_on(connection)
        # InternalClientError: what asyncpg says when the server ended the session while it lay idle.
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise StoreUnavailable("the connection for hints is lost") from error
        finally:
            await close(connection)

    async def _pass_on(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()
        topics, self._topics = self._topics, set()
        # Without topics it tells nobody anything, but fails when the connection is gone.
        await connection.execute(
            "SELECT pg_notify($1, $2 || ' ' || topic) FROM unnest($3::text[]) AS topic",
            _CHANNEL,
            self._own,
            sorted(topics),
            timeout=LOOK_S,
        )
        await self._clock.sleep(QUIET_S)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        own, _, topic = str(payload).partition(" ")
        if own == self._own:
            return
        match topic:
            case "events" | "deliveries" | "submissions" | "settled":
                self.heard(topic)
            case _:
                # A later release may tell of more.
                return


def _nothing(topic: HintTopic) -> None:
    """Until the composition root says what hints set going."""
