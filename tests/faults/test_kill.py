"""``kill -9`` of the gateway at random instants, on one database, while sends and callbacks run."""

from random import Random
from typing import Final

from tests.faults.audit import SETTINGS
from tests.faults.conftest import OpenWorld, Tell
from tests.faults.load import Load
from tests.faults.rounds import endure, kill_at_a_random_instant, rounds

ROUNDS: Final = rounds(30)


async def test_nothing_is_lost_or_sent_twice_when_the_gateway_is_killed_at_any_instant(
    open_world: OpenWorld, random: Random, tell: Tell
) -> None:
    async with open_world(settings={**SETTINGS, "log_level": "warning"}) as world:
        findings = await endure(
            Load(world, random), ROUNDS, lambda: kill_at_a_random_instant(world, world.gateway, random), tell
        )

    assert findings.reports_answered >= ROUNDS
    assert findings.inbound >= ROUNDS // 3
