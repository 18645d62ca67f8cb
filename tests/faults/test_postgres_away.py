"""PostgreSQL goes away while sends and callbacks go to two replicas: sends are refused, callbacks are answered and kept
on the replicas' own disks, and everything is applied once it is back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import cycle
from random import Random
from typing import Final, TypeAlias

import pytest

from tests.faults.conftest import OpenWorld, Tell
from tests.faults.forwarder import Forwarder
from tests.faults.load import Load
from tests.faults.replicas import ACCOUNT, SETTINGS, TTL_S, on
from tests.faults.rounds import endure, rounds
from tests.faults.world import World
from tests.postgres.server import PostgresServer

ROUNDS: Final = rounds(3)
AWAY_S: Final = 10.0
PAUSED_S: Final = 2 * TTL_S
REPORT_DELAY_MS: Final = 1500
"""Reports of what was sent before come while the database is away."""
WITHIN_S: Final = 30.0


class Asking:
    """What replicas answer while they have no database: each send is refused, each callback taken."""

    def __init__(self, world: World, *replicas: int) -> None:
        self._world = world
        self._replicas = replicas
        self._texts = 0

    async def once(self) -> None:
        """Every replica is asked to send."""
        answers = [
            await self._world.apis[replica].post("/v1/messages", json={"to": self._world.numbers.plain(), "text": "no"})
            for replica in self._replicas
        ]
        assert [answer.status_code for answer in answers] == [503] * len(answers)
        assert all(answer.json()["retryable"] for answer in answers)

    async def for_s(self, seconds: float) -> None:
        """Again and again, and at least once."""
        ends_s = time.monotonic() + seconds
        while True:
            await self.once()
            if time.monotonic() > ends_s:
                return
            await asyncio.sleep(0.2)


Stop: TypeAlias = Callable[[], object]


async def test_nothing_is_lost_or_sent_twice_when_postgresql_is_stopped_and_started_again(
    open_world: OpenWorld, own_server: PostgresServer, random: Random, tell: Tell
) -> None:
    url = own_server.create_database("relay")
    ways: cycle[Stop] = cycle([lambda: own_server.stop("fast"), lambda: own_server.stop("immediate"), own_server.kill])
    async with open_world(
        replicas=on(url), settings=SETTINGS, account=ACCOUNT, report_delay_ms=REPORT_DELAY_MS
    ) as world:
        load = Load(world, random)

        async def stop_and_start() -> None:
            await load.goes_on(10, WITHIN_S)
            await asyncio.to_thread(next(ways))
            await Asking(world, 0, 1).for_s(AWAY_S)
            await asyncio.to_thread(own_server.start)
            await load.goes_on(10, WITHIN_S)

        findings = await endure(load, ROUNDS, stop_and_start, tell)

    assert findings.reports_lost == 0
    assert set(load.inbound.values()) == {200}


async def test_nothing_is_lost_or_sent_twice_when_postgresql_stands_still_for_a_while(
    open_world: OpenWorld, own_server: PostgresServer, random: Random, tell: Tell
) -> None:
    url = own_server.create_database("relay")
    async with open_world(
        replicas=on(url), settings=SETTINGS, account=ACCOUNT, report_delay_ms=REPORT_DELAY_MS
    ) as world:
        load = Load(world, random)

        async def pause_and_resume() -> None:
            await load.goes_on(10, WITHIN_S)
            await asyncio.to_thread(own_server.pause)
            await Asking(world, 0, 1).for_s(PAUSED_S)
            await asyncio.to_thread(own_server.resume)
            await load.goes_on(10, WITHIN_S)

        findings = await endure(load, 1, pause_and_resume, tell)

    assert findings.reports_lost == 0
    assert set(load.inbound.values()) == {200}


@pytest.fixture
async def cable(database_server: PostgresServer) -> AsyncIterator[Forwarder]:
    """Between a replica and PostgreSQL."""
    async with Forwarder(database_server.port) as cable:
        yield cable


@asynccontextmanager
async def cut(cable: Forwarder) -> AsyncIterator[None]:
    """Connections end, and new ones are refused."""
    await cable.cut()
    yield
    await cable.mend()


@asynccontextmanager
async def swallowing(cable: Forwarder) -> AsyncIterator[None]:
    """Nothing arrives, and nobody is told."""
    cable.swallow()
    yield
    cable.pass_on()


async def test_nothing_is_lost_or_sent_twice_when_one_of_two_replicas_loses_the_database(
    open_world: OpenWorld,
    database: str,
    database_server: PostgresServer,
    cable: Forwarder,
    random: Random,
    tell: Tell,
) -> None:
    cut_off = database.replace(f":{database_server.port}/", f":{cable.port}/")
    ways: cycle[Callable[[Forwarder], AbstractAsyncContextManager[None]]] = cycle([cut, swallowing])
    async with open_world(
        replicas=on(cut_off, database, each=1), settings=SETTINGS, account=ACCOUNT, report_delay_ms=REPORT_DELAY_MS
    ) as world:
        load = Load(world, random)

        async def lose_the_database() -> None:
            await load.goes_on(10, WITHIN_S)
            async with next(ways)(cable):
                await Asking(world, 0).for_s(1.5 * TTL_S)
                # The other one goes on.
                await load.goes_on(10, WITHIN_S)
            await load.goes_on(10, WITHIN_S)

        findings = await endure(load, 2, lose_the_database, tell)

    assert findings.reports_lost == 0
    assert set(load.inbound.values()) == {200}
