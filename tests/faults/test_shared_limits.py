"""Limits that all replicas keep together, of the provider and of a webhook endpoint: a third replica joins and one dies
while there is more to send than may be sent."""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from relay.provider.sandbox import Fault
from tests.faults.conftest import OpenWorld
from tests.faults.polling import until
from tests.faults.replicas import SETTINGS, on
from tests.faults.world import LATE, World

RATE: Final = 10
CONNECTIONS: Final = 4
ANSWER_MS: Final = 350
"""The provider's. With it the rate allows nearly as many calls at once as there are connections."""
IN_FLIGHT: Final = 3
MOST_S: Final = 60.0


async def test_the_providers_rate_and_connections_hold_over_all_replicas(open_world: OpenWorld, database: str) -> None:
    account = {"requests_per_s": RATE, "connections": CONNECTIONS}
    async with open_world(
        replicas=on(database, each=3), started=2, settings=SETTINGS, account=account, report_delay_ms=LATE
    ) as world:
        world.sandbox.faults.add(Fault(call="send", times=None, delay_ms=ANSWER_MS))
        sends = world.sandbox.ledger.sends
        await send_by_two(world, 70)

        await one_joins_and_one_dies(world, lambda: len(sends), before=15, between=15)

        async def all_settled() -> bool:
            left = {message["status"] async for message in world.pages("/v1/messages")}
            return left <= {"submitted", "unconfirmed"}

        await until(all_settled, MOST_S, "everything is sent", world.told)
        arrivals = [record.at_s for record in sends]
        at_once = most_within(arrivals, ANSWER_MS / 1000)
        in_a_second = most_within(arrivals, 1.0)
        assert CONNECTIONS / 2 < at_once <= CONNECTIONS
        assert RATE / 2 < in_a_second <= RATE
        # What the dead one was sending may not have arrived, and is in doubt then.
        assert 70 - CONNECTIONS <= len(sends) <= 70
        assert list(world.sandbox.ledger.repeats()) == []


async def test_the_limit_of_an_endpoint_holds_over_all_replicas(open_world: OpenWorld, database: str) -> None:
    async with open_world(
        replicas=on(database, each=3),
        started=2,
        settings=SETTINGS,
        endpoint={"max_in_flight": IN_FLIGHT},
        report_delay_ms=LATE,
    ) as world:
        # So long that two deliver at the same time on a slow machine, too.
        world.receiver.pause_s = 0.15
        await send_by_two(world, 100)

        await one_joins_and_one_dies(world, world.receiver.times.total, before=20, between=20)

        await until(lambda: len(world.receiver.times) == 100, MOST_S, "every event is delivered", world.told)
        assert 1 < world.receiver.most_at_once <= IN_FLIGHT
        assert world.receiver.wrong == []


async def send_by_two(world: World, messages: int) -> None:
    """The first two replicas have accepted so many."""
    for number in range(messages):
        body = {"to": world.numbers.plain(), "text": "hello"}
        answer = await world.apis[number % 2].post("/v1/messages", json=body)
        assert answer.status_code == 202, answer.text


async def one_joins_and_one_dies(world: World, seen: Callable[[], int], before: int, between: int) -> None:
    """The third joins once ``before`` have been seen, and the first dies once ``between`` more have."""
    await until(lambda: seen() >= before, MOST_S, f"{before} have come", world.told)
    dies, _, joins = world.gateways
    await joins.start()
    await joins.ready()
    joined = seen()
    await until(lambda: seen() >= joined + between, MOST_S, f"{between} more have come", world.told)
    await dies.kill()


def most_within(arrivals: list[float], seconds: float) -> int:
    """The most arrivals in any time of this length."""
    assert all(earlier <= later for earlier, later in pairwise(arrivals))
    return max(
        sum(1 for later in arrivals[index:] if later < arrival + seconds) for index, arrival in enumerate(arrivals)
    )
