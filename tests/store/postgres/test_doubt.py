"""COMMITs that are not answered for long: nobody is told more than the server has said, and everybody in the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from relay.domain.errors import StoreUnavailable
from relay.ports import Stored
from relay.store.migrate import run_migrate_postgres
from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.store import ScriptStore
from tests.postgres.found import found
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers
from tests.store.builders import ENTROPY, mobiles
from tests.store.conformance.world import World

TIMEOUT_S: Final = 0.5
LONGER_S: Final = 2.5
"""After this the writer has given up to wait, and goes on with others."""
DATABASE: Final = "doubt"


class Standby:
    """A synchronous standby that every commit waits for, and that never answers."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def want(self) -> None:
        self._set("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        self.reload()
        # The server tells its processes before it starts another one, which is the one that answers here.
        deadline_s = time.monotonic() + LONGER_S
        while self._server.execute("postgres", "SHOW synchronous_standby_names")[0][0] != "nobody":
            assert time.monotonic() < deadline_s

    def forgo(self) -> None:
        """From the next ``reload`` or start on."""
        self._set("ALTER SYSTEM RESET synchronous_standby_names")

    def reload(self) -> None:
        self._set("SELECT pg_reload_conf()")

    def _set(self, sql: str) -> None:
        self._server.execute("postgres", sql)


@pytest.fixture
def server(postgres_servers: PostgresServers) -> Iterator[PostgresServer]:
    made = postgres_servers.new(found()[0])
    made.start()
    run_migrate_postgres(made.create_database(DATABASE))
    yield made
    made.close()


@pytest.fixture
async def store(server: PostgresServer) -> AsyncIterator[ScriptStore]:
    queries = Queries.load("postgres")
    driver = PostgresDriver(server.url(DATABASE), queries, Db(queries, ENTROPY, None), timeout_s=TIMEOUT_S)
    made = ScriptStore(driver, KeyRing({"k1": bytes(32)}))
    yield made
    await made.close()


@pytest.fixture
async def world(store: ScriptStore) -> World:
    made = World(store)
    await made.start()
    return made


async def test_a_commit_counts_when_the_standby_has_it_and_no_sooner(server: PostgresServer, world: World) -> None:
    standby = Standby(server)
    standby.want()
    accepting = asyncio.create_task(world.try_accept(world.draft(mobiles(1))))
    assert await asyncio.wait([accepting], timeout=LONGER_S) == (set(), {accepting})
    standby.forgo()
    standby.reload()
    assert await accepting == Stored()


async def test_what_was_committed_when_the_server_stopped_is_told_once_it_is_back(
    server: PostgresServer, world: World
) -> None:
    standby = Standby(server)
    standby.want()
    accepting = asyncio.create_task(world.try_accept(world.draft(mobiles(1))))
    await asyncio.wait([accepting], timeout=TIMEOUT_S / 2)
    standby.forgo()
    server.stop("fast")
    assert await asyncio.wait([accepting], timeout=LONGER_S) == (set(), {accepting})
    with pytest.raises(StoreUnavailable):
        await world.accept(mobiles(1, 1))
    server.start()
    assert await accepting == Stored()


async def test_after_a_crash_nobody_can_tell_and_nobody_waits(server: PostgresServer, world: World) -> None:
    standby = Standby(server)
    standby.want()
    accepting = asyncio.create_task(world.try_accept(world.draft(mobiles(1))))
    await asyncio.wait([accepting], timeout=LONGER_S)
    standby.forgo()
    server.kill()
    server.start()
    with pytest.raises(StoreUnavailable):
        await accepting


async def test_who_is_still_in_doubt_when_the_store_is_closed_is_told_so(
    server: PostgresServer, store: ScriptStore, world: World
) -> None:
    standby = Standby(server)
    standby.want()
    accepting = asyncio.create_task(world.try_accept(world.draft(mobiles(1))))
    await asyncio.wait([accepting], timeout=LONGER_S)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await accepting
