"""Several stores on one database, each with a driver of its own, and chance in what happens when."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import pytest

from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.store import ScriptStore
from tests.postgres.bouncer import PgBouncer
from tests.postgres.found import found_pgbouncer
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers
from tests.store import builders
from tests.store.builders import ENTROPY
from tests.store.conformance.world import World
from tests.store.postgres.proxy import Proxy, proxied

T = TypeVar("T")
PATIENT_S: Final = 20.0
POOLED_TOO: Final = pytest.mark.parametrize("three", ["direct", "pooled"], indirect=True)
"""For what is to be seen with PgBouncer in between, too, which has fewer connections than the stores have."""
_DEADLOCK: Final = "deadlock detected"
_numbers: Final = itertools.count(1)


class Several:
    """Three worlds of one team and one account, each through a store of its own."""

    def __init__(self, server: PostgresServer, database: str, stores: Sequence[ScriptStore]) -> None:
        self._server = server
        self._database = database
        self.stores = stores
        self._deadlocks = server.logged(_DEADLOCK)
        self.chance = random.Random(0)  # noqa: S311 - the same in every run
        self.worlds: list[World] = []

    async def start(self) -> None:
        """A new team and a new account; what was before is nobody's."""
        self.worlds = [World(store) for store in self.stores]
        team, account = builders.team(extensions=(str(next(_numbers)),)), builders.account()
        for world in self.worlds:
            world.team, world.account = team, account
        await self.worlds[0].start()

    async def at_once(self, things: Sequence[Callable[[World], Awaitable[T]]]) -> list[T | BaseException]:
        """What each came to. Each is done in one world or another, now or a little later, in any order."""

        async def do(thing: Callable[[World], Awaitable[T]]) -> T:
            for _ in range(self.chance.randrange(8)):
                await asyncio.sleep(0)
            return await thing(self.chance.choice(self.worlds))

        order = list(range(len(things)))
        self.chance.shuffle(order)
        found = await asyncio.gather(*(do(things[index]) for index in order), return_exceptions=True)
        by_index = dict(zip(order, found, strict=True))
        return [by_index[index] for index in range(len(things))]

    async def all_well(self, things: Sequence[Callable[[World], Awaitable[T]]]) -> list[T]:
        """``at_once``, and nothing was raised."""
        found: list[T] = []
        for result in await self.at_once(things):
            if isinstance(result, BaseException):
                raise result
            found.append(result)
        return found

    def execute(self, sql: str, *params: object) -> list[Any]:
        """As the administrator."""
        return [tuple(row) for row in self._server.execute(self._database, sql, *params)]

    def waiting(self) -> int:
        """How many wait for an advisory lock."""
        sql = (
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE NOT l.granted AND l.locktype = 'advisory' AND d.datname = $1"
        )
        return int(self.execute(sql, self._database)[0][0])

    @contextlib.asynccontextmanager
    async def proxied(self) -> AsyncIterator[tuple[Proxy, World]]:
        """One more world, whose store has a proxy before it."""
        async with proxied(self._server) as proxy:
            store = ScriptStore(_driver(proxy.url(self._database)), KeyRing({"k1": bytes(32)}))
            world = World(store)
            world.team, world.account = self.worlds[0].team, self.worlds[0].account
            try:
                yield proxy, world
            finally:
                await store.close()

    def deadlocks(self) -> int:
        """How many the server has found. By its log: what it counts it tells later."""
        return self._server.logged(_DEADLOCK) - self._deadlocks


@contextlib.asynccontextmanager
async def several(server: PostgresServer, database: str, url: str, *, pooler: bool) -> AsyncIterator[Several]:
    """Three stores on a migrated database."""
    stores = [ScriptStore(_driver(url, pooler=pooler), KeyRing({"k1": bytes(32)})) for _ in range(3)]
    made = Several(server, database, stores)
    try:
        await made.start()
        yield made
    finally:
        for store in stores:
            await store.close()


def _driver(url: str, *, pooler: bool = False) -> PostgresDriver:
    queries = Queries.load("postgres")
    return PostgresDriver(url, queries, Db(queries, ENTROPY, None), timeout_s=PATIENT_S, pooler=pooler)


@contextlib.contextmanager
def bouncing(server: PostgresServer, servers: PostgresServers, *, connections: int) -> Iterator[PgBouncer]:
    """A PgBouncer before ``server``; the test is skipped where there is none."""
    program = found_pgbouncer()
    if program is None:
        pytest.skip("PgBouncer is not installed")
    bouncer = PgBouncer(program, server, servers.new_directory(), connections=connections)
    bouncer.start()
    try:
        yield bouncer
    finally:
        bouncer.close()
