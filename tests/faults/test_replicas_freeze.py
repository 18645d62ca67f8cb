"""One of two replicas stands still for longer than the other waits for a sign of life, and then goes on as if nothing
had been: it must find out that it was taken for dead before it does anything."""

import asyncio
from random import Random
from typing import Final

from tests.faults.conftest import OpenWorld, Tell
from tests.faults.load import Load
from tests.faults.replicas import ACCOUNT, SETTINGS, TTL_S, on
from tests.faults.rounds import at_a_random_instant, endure, rounds

ROUNDS: Final = rounds(10)
FROZEN_S: Final = 1.35 * TTL_S
"""The other one finds out with its next beat, a fifth of that time later at the latest."""
ANSWER_S: Final = 2.0
"""So long a team waits for an answer before it asks the other replica."""


async def test_nothing_is_lost_or_sent_twice_when_one_of_two_replicas_stands_still_for_a_while(
    open_world: OpenWorld, database: str, random: Random, tell: Tell
) -> None:
    async with open_world(replicas=on(database), settings=SETTINGS, account=ACCOUNT, answer_s=ANSWER_S) as world:

        async def freeze_one() -> None:
            gateway = random.choice(world.gateways)
            await at_a_random_instant(world, random)
            await gateway.freeze()
            await asyncio.sleep(FROZEN_S)
            gateway.thaw()

        findings = await endure(Load(world, random), ROUNDS, freeze_one, tell)

    # Nobody was killed: whatever came was answered in the end.
    assert findings.reports_lost == 0
    assert findings.inbound >= ROUNDS // 3
