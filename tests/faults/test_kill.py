"""``kill -9`` of the gateway at random instants, on one database, while sends and callbacks run."""

import asyncio
import os
import sys
import time
from random import Random, SystemRandom
from typing import Final

import pytest

from tests.faults.audit import audit
from tests.faults.conftest import OpenWorld
from tests.faults.load import Load
from tests.faults.world import World

ROUNDS: Final = int(os.environ.get("FAULTS_ROUNDS", "30"))
IN_START_UP: Final = 0.2
"""Share of kills that may hit a gateway which has not come up yet."""


async def test_nothing_is_lost_or_sent_twice_when_the_gateway_is_killed_at_any_instant(
    open_world: OpenWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or SystemRandom().randrange(2**32))
    random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    started_s = time.monotonic()
    sys.stdout.write(f"FAULTS_SEED={seed} repeats this run's choices\n")

    async with open_world(settings={"log_level": "warning"}) as world:
        load = Load(world, random)
        load.start()
        try:
            for _ in range(ROUNDS):
                await _kill_at_a_random_instant(world, random)
                load.check()
            await world.gateway.ready()
            await load.finish()
        finally:
            await load.cancel()
        findings = await audit(world, load)

    with capsys.disabled():
        seconds = time.monotonic() - started_s
        sys.stdout.write(f"\n  FAULTS_SEED={seed}, {ROUNDS} kills in {seconds:.0f} s: {findings}\n")
    assert findings.reports_answered >= ROUNDS
    assert findings.inbound >= ROUNDS // 3


async def _kill_at_a_random_instant(world: World, random: Random) -> None:
    """Kill what runs, or starts; then begin to start the next one."""
    if random.random() >= IN_START_UP:
        await world.gateway.ready()
    await asyncio.sleep(random.uniform(0.0, 0.8))
    await world.gateway.kill()
    await world.gateway.start()
