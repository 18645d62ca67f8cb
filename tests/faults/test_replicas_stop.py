"""SIGTERM to one replica after the other, as at every release, while sends and callbacks go to both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from random import Random
from typing import Final

from tests.faults.conftest import OpenWorld, Tell
from tests.faults.load import Load
from tests.faults.replicas import ACCOUNT, SETTINGS, WITHIN_S, on
from tests.faults.rounds import endure
from tests.faults.world import World

ROUNDS: Final = 3
DRAIN_S: Final = 10.0
ANNOUNCE_S: Final = 1.0
KEEP_ALIVE_S: Final = 0.5
"""Of the provider's connections. The announcement must be longer: what lay idle all through it is closed at its end,
perhaps in the moment in which a callback is sent on it."""
CHECK_S: Final = 0.1
BESIDES_S: Final = 5.0
"""What an end takes besides the drain, on a slow machine."""


async def test_nothing_fails_and_nothing_is_lost_when_replicas_are_stopped_in_turn(
    open_world: OpenWorld, database: str, random: Random, tell: Tell
) -> None:
    settings = {**SETTINGS, "log_level": "info", "drain_s": str(DRAIN_S), "drain_announce_s": str(ANNOUNCE_S)}
    async with (
        open_world(
            replicas=on(database), settings=settings, account=ACCOUNT, callback_keep_alive_s=KEEP_ALIVE_S
        ) as world,
        health_checks(world),
    ):
        load = Load(world, random, balanced=True)
        turns = cycle(world.gateways)

        async def stop_one() -> None:
            await load.goes_on(10, WITHIN_S)
            gateway = next(turns)
            code, seconds = await gateway.terminate()
            assert code == 0, gateway.tail()
            assert seconds < DRAIN_S + BESIDES_S
            # The other one goes on.
            await load.goes_on(10, WITHIN_S)
            await gateway.start()
            await gateway.ready()

        findings = await endure(load, ROUNDS, stop_one, tell)
        stopped = [line for gateway in world.gateways for line in gateway.log() if line["event"] == "gateway.stopped"]

    assert [(line["submissions_cut"], line["deliveries_cut"]) for line in stopped] == [(0, 0)] * ROUNDS
    assert load.cut_off == []
    assert findings.reports_lost == 0
    assert set(load.inbound.values()) == {200}


@asynccontextmanager
async def health_checks(world: World) -> AsyncIterator[None]:
    """The load balancer gives new connections to gateways that say that they are ready."""

    async def check() -> None:
        while True:
            ready = [gateway for gateway in world.gateways if await gateway.is_ready()]
            world.balancer.leads_to(*(gateway.port for gateway in ready))
            await asyncio.sleep(CHECK_S)

    checking = asyncio.create_task(check())
    try:
        yield
    finally:
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)
