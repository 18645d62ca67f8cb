"""Whose turn it is: priorities, rates, connections, and that nothing new overtakes what waits."""

import asyncio
import time
from itertools import pairwise

from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.conftest import OpenWorld
from tests.flow.world import Limits, World, until

SILENT = SandboxSettings(report_delay_ms=600_000)


def mobiles(first: int, number: int) -> list[str]:
    """So many numbers to which nothing special happens."""
    return [f"1380013{first + index:04}" for index in range(number)]


async def test_otp_goes_before_notice_and_notice_before_marketing_when_slots_are_short(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(connections=1), sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", delay_ms=1500)
        await world.send("13800131111", category="marketing")
        for number, category in enumerate(["marketing", "notice", "otp"] * 3):
            await world.send(f"1380013200{number + 1}", category=category)

        await until(lambda: len(world.sends) == 10)

        order = [record.mobiles[0][-1] for record in world.sends[1:]]
        assert order == ["3", "6", "9", "2", "5", "8", "1", "4", "7"]


async def test_no_more_starts_in_any_second_than_the_account_allows(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(requests_per_s=10), sandbox=Sandbox(SILENT)) as world:
        started_s = time.time()
        # One mask for all of them: twenty-five submissions of one message.
        await world.send([f"138{number:04}1234" for number in range(25)])

        await until(lambda: len(world.sends) == 25)

        # Counted from the call: a busy machine makes arrivals late, and never early. That starts keep the rate to the
        # millisecond is for tests/services/test_limits.py.
        times_s = [record.at_s - started_s for record in world.sends]
        assert (times_s[10] >= 1.0, times_s[20] >= 2.0) == (True, True)


async def test_no_more_calls_are_under_way_than_the_account_has_connections(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(connections=3), sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", delay_ms=30, times=None)

        await asyncio.gather(*(world.send(mobile) for mobile in mobiles(3000, 30)))

        await until(lambda: len(world.sends) == 30)
        assert world.counts["peak_in_flight"] == 3


async def test_a_backlog_is_not_overtaken_by_what_is_new(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(connections=2), sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", delay_ms=20, times=None)

        for mobile in mobiles(3000, 40):
            await world.send(mobile)

        await until(lambda: len(world.sends) == 40)
        # Two at a time may swap places with each other, and with nobody else.
        places = [int(record.mobiles[0][-4:]) - 3000 for record in world.sends]
        assert max(abs(place - index) for index, place in enumerate(places)) <= 2


async def test_what_waited_is_sent_in_the_order_in_which_it_came(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(connections=1), sandbox=Sandbox(SILENT)) as world:
        world.fault(call="send", delay_ms=1500)
        for mobile in mobiles(3000, 12):
            await world.send(mobile)

        await until(lambda: len(world.sends) == 12)

        assert all(earlier.mobiles < later.mobiles for earlier, later in pairwise(world.sends))


async def test_an_account_that_is_stuck_delays_no_other(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(connections=1), sandbox=Sandbox(SILENT)) as world:
        other = await world.add_account("other", "other", Limits())
        _, api = await world.add_team("others", accounts=[other["id"]])
        world.fault(call="send", account="sandbox", drop="hold", times=None)
        await world.send("13800131234")
        await world.send("13800131235")

        message = await world.send("13800131236", api=api, wait=10)

        assert message["status"] == "submitted"
        await assert_waits(world)


async def assert_waits(world: World) -> None:
    """The stuck account holds one, the other one waits."""
    found = world.rows("SELECT status FROM submissions WHERE status <> 'submitted' ORDER BY id")
    assert found == [("submitting",), ("queued",)]


async def test_every_chunk_of_a_large_message_goes_out_within_the_limits(worlds: OpenWorld) -> None:
    async with worlds(limits=Limits(connections=2), sandbox=Sandbox(SILENT)) as world:
        # One mask for all of them: each is a submission of its own.
        to = [f"138{number:04}1234" for number in range(40)]

        message = await world.send(to)

        await world.message_when(message["id"], "submitted")
        assert sorted(mobile for record in world.sends for mobile in record.mobiles) == to
        assert [len(record.mobiles) for record in world.sends] == [1] * 40
        assert world.counts["peak_in_flight"] <= 2
