"""``kill -9`` of one of two replicas at random instants, while sends and callbacks go to both."""

from random import Random
from typing import Final

from tests.faults.conftest import OpenWorld, Tell
from tests.faults.load import Load
from tests.faults.replicas import ACCOUNT, SETTINGS, on
from tests.faults.rounds import endure, kill_at_a_random_instant, rounds

ROUNDS: Final = rounds(20)


async def test_nothing_is_lost_or_sent_twice_when_one_of_two_replicas_is_killed_at_any_instant(
    open_world: OpenWorld, database: str, random: Random, tell: Tell
) -> None:
    async with open_world(replicas=on(database), settings=SETTINGS, account=ACCOUNT) as world:

        async def kill_one() -> None:
            await kill_at_a_random_instant(world, random.choice(world.gateways), random)

        findings = await endure(Load(world, random), ROUNDS, kill_one, tell)

    assert findings.reports_answered >= ROUNDS
    assert findings.inbound >= ROUNDS // 3
