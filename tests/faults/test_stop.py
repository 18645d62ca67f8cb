"""SIGTERM while everything runs, and a second gateway that wants the same database."""

import asyncio
from random import Random
from typing import Final

from relay.cli import exits
from relay.provider.sandbox import Fault
from tests.faults.audit import SETTINGS, audit
from tests.faults.conftest import OpenWorld
from tests.faults.load import Load
from tests.faults.polling import until
from tests.faults.world import LATE, World

SECONDS: Final = 10.0
DRAIN_S: Final = 3
BESIDES_S: Final = 2.5
"""What an end takes besides the drain, on a slow machine."""


async def test_nothing_is_lost_when_the_gateway_is_stopped_under_load(open_world: OpenWorld) -> None:
    async with open_world(settings={**SETTINGS, "drain_s": str(DRAIN_S)}) as world:
        load = Load(world, Random(2))  # noqa: S311 - to be repeated, not to be secret
        load.start()
        try:
            for _ in range(3):
                await load.goes_on(20, SECONDS)
                code, seconds = await world.gateway.terminate()
                assert code == 0, world.gateway.tail()
                assert seconds < DRAIN_S + BESIDES_S
                await world.gateway.start()
                await world.gateway.ready()
                load.check()
            await load.finish()
        finally:
            await load.cancel()

        await audit(world, load)
        stopped = [line for line in world.gateway.log() if line.get("event") == "gateway.stopped"]
        assert [(line["submissions_cut"], line["deliveries_cut"]) for line in stopped] == [(0, 0)] * 3
        assert [line for line in world.gateway.log() if line.get("event") == "submissions.left_by_dead_process"] == []


async def test_a_stop_waits_for_submissions_under_way(world: World) -> None:
    number = world.numbers.plain()
    world.sandbox.faults.add(Fault(call="send", mobile=number, delay_ms=1500))
    sent = await world.send(number)
    await world.has_reached_the_provider(number)

    code, _ = await world.gateway.terminate()

    assert code == 0
    assert world.sandbox.ledger.sends_to(number)[0].answered
    await world.gateway.start()
    await world.gateway.ready()
    assert await world.status(sent["id"]) == "submitted"


async def test_a_stop_ends_in_time_whatever_hangs(open_world: OpenWorld) -> None:
    async with open_world(settings={"drain_s": str(DRAIN_S)}, report_delay_ms=LATE) as world:
        # A provider that never answers, a receiver that never answers, a team that waits for an event, one that waits
        # for its message, and an idle connection.
        number, other = world.numbers.plain(), world.numbers.plain()
        for held in (number, other):
            world.sandbox.faults.add(Fault(call="send", mobile=held, drop="hold", accept=True))
        world.receiver.held.clear()
        told = await world.send(world.numbers.plain())
        await world.has_status(told["id"], "submitted")
        cursor = (await world.api.get("/v1/events")).json()["next_cursor"]
        waiting = [
            asyncio.create_task(world.api.get("/v1/events", params={"cursor": cursor, "wait": "30"})),
            asyncio.create_task(
                world.api.post("/v1/messages", json={"to": other, "text": "hello"}, headers={"prefer": "wait=30"})
            ),
        ]
        sent = await world.send(number)
        for held in (number, other):
            await world.has_reached_the_provider(held)
        await until(lambda: world.receiver.read.total() == 1, SECONDS, "the receiver has read its webhook")

        code, seconds = await world.gateway.terminate()

        assert code == 0, world.gateway.tail()
        assert seconds < DRAIN_S + BESIDES_S
        await asyncio.gather(*waiting, return_exceptions=True)
        world.receiver.held.set()
        await world.gateway.start()
        await world.gateway.ready()
        assert await world.status(sent["id"]) == "unconfirmed"
        assert [len(world.sandbox.ledger.sends_to(held)) for held in (number, other)] == [1, 1]


async def test_a_second_gateway_on_the_database_is_refused_and_the_first_goes_on(world: World) -> None:
    code, told = await world.gateway.run_a_second_one()

    assert code == exits.IN_USE
    assert told.startswith("relay: database: another process serves from ")
    assert told.count("\n") == 1
    sent = await world.send(world.numbers.plain())
    await world.has_status(sent["id"], "submitted")


async def test_the_lock_of_a_gateway_ends_with_it_however_it_ends(world: World) -> None:
    for _ in range(2):
        await world.gateway.kill()
        await world.gateway.start()
        await world.gateway.ready()
