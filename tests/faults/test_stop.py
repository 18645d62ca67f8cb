"""SIGTERM while everything runs, and a second gateway that wants the same database."""

import asyncio
import signal
import sqlite3
import time
from contextlib import closing
from random import Random
from typing import Final

import httpx

from relay.cli import exits
from relay.provider.sandbox import Fault
from tests.faults.audit import SETTINGS, audit
from tests.faults.conftest import OpenWorld
from tests.faults.load import Load
from tests.faults.polling import until
from tests.faults.world import LATE, Json, World

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
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200, 200]
        world.receiver.held.set()
        await world.gateway.start()
        await world.gateway.ready()
        assert await world.status(sent["id"]) == "unconfirmed"
        assert [len(world.sandbox.ledger.sends_to(held)) for held in (number, other)] == [1, 1]


async def test_while_it_drains_new_work_is_refused_and_a_callback_is_taken(open_world: OpenWorld) -> None:
    settings = {"drain_s": "20", "drain_announce_s": "1"}
    async with open_world(settings=settings, report_delay_ms=LATE) as world:
        number, slow = world.numbers.plain(), world.numbers.plain()
        sent = await world.send(number)
        await world.has_status(sent["id"], "submitted")
        cursor = (await world.api.get("/v1/events")).json()["next_cursor"]
        world.sandbox.faults.add(Fault(call="send", mobile=slow, delay_ms=2500))
        under_way = await world.send(slow)
        await world.has_reached_the_provider(slow)
        polled = asyncio.create_task(world.api.get("/v1/events", params={"cursor": cursor, "wait": "30"}))
        started_s = time.monotonic()
        world.gateway.send_signal(signal.SIGTERM)

        async def drains() -> bool:
            async with httpx.AsyncClient(base_url=world.gateway.url, trust_env=False) as anybody:
                return (await anybody.get("/readyz")).status_code == 503

        await until(drains, SECONDS, "the gateway says that it drains")
        # On new connections: the listener is still open.
        async with httpx.AsyncClient(base_url=world.gateway.url, headers=world.api.headers, trust_env=False) as team:
            refused = await team.post("/v1/messages", json={"to": world.numbers.plain(), "text": "hello"})
            read = await team.get(f"/v1/messages/{sent['id']}")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["connection"] == "close"
        assert read.status_code == 200
        assert await world.report(sent["submissions"][0]["task_id"], number) == 200
        assert (await polled).status_code == 200
        assert time.monotonic() - started_s < 2.5

        assert await world.gateway.ended() == 0, world.gateway.tail()
        # Not before the submission under way was answered, and not long after.
        assert time.monotonic() - started_s < SECONDS
        await world.gateway.start()
        await world.gateway.ready()
        assert await world.status(sent["id"]) == "delivered"
        assert await world.status(under_way["id"]) == "submitted"
        events = await world.events()
        assert [event["type"] for event in events].count("message.delivered") == 1
        await until(lambda: {event["id"] for event in events} <= world.receiver.times.keys(), SECONDS, "all are told")


async def test_deliveries_that_were_not_started_are_free_at_once_and_the_one_under_way_is_finished(
    open_world: OpenWorld,
) -> None:
    settings = {"drain_s": "20"}
    async with open_world(settings=settings, report_delay_ms=LATE) as world:
        world.receiver.held.clear()
        for _ in range(6):
            sent = await world.send(world.numbers.plain())
            await world.has_status(sent["id"], "submitted")
        await until(lambda: world.receiver.read.total() == 1, SECONDS, "the receiver has read a webhook")
        assert leases(world) == (6, 0)

        world.gateway.send_signal(signal.SIGTERM)

        # The receiver still holds the first one, so the process still runs.
        await until(lambda: leases(world) == (1, 5), 2.0, "what waits in memory is free", world.gateway.tail)
        world.receiver.held.set()
        assert await world.gateway.ended() == 0, world.gateway.tail()
        assert (leases(world), world.receiver.times.total()) == ((0, 5), 1)
        await world.gateway.start()
        await world.gateway.ready()
        await until(lambda: world.receiver.times.total() == 6, SECONDS, "the others are delivered", world.gateway.tail)
        assert set(world.receiver.times.values()) == {1}


def leases(world: World) -> tuple[int, int]:
    """Deliveries that are leased, and that are free, as the database file says."""
    with closing(sqlite3.connect(f"file:{world.gateway.database}?mode=ro", uri=True)) as connection:
        counted = connection.execute("SELECT COUNT(claim), COUNT(*) - COUNT(claim) FROM deliveries").fetchone()
    return counted[0], counted[1]


async def test_a_second_signal_ends_the_waiting_at_once(open_world: OpenWorld) -> None:
    async with open_world(settings={"drain_s": "60"}, report_delay_ms=LATE) as world:
        number = world.numbers.plain()
        world.sandbox.faults.add(Fault(call="send", mobile=number, drop="hold", accept=True))
        sent = await world.send(number)
        await world.has_reached_the_provider(number)
        world.gateway.send_signal(signal.SIGTERM)
        await until(lambda: logged(world, "gateway.draining") != [], SECONDS, "it drains")

        world.gateway.send_signal(signal.SIGINT)
        started_s = time.monotonic()

        assert await world.gateway.ended() == 0, world.gateway.tail()
        assert time.monotonic() - started_s < BESIDES_S
        assert [line["submissions_cut"] for line in logged(world, "gateway.stopped")] == [1]
        await world.gateway.start()
        await world.gateway.ready()
        assert await world.status(sent["id"]) == "unconfirmed"


async def test_an_idle_gateway_announces_its_end_for_as_long_as_it_is_told_to(open_world: OpenWorld) -> None:
    async with open_world(settings={"drain_announce_s": "1"}) as world:
        code, seconds = await world.gateway.terminate()

        assert code == 0
        assert 1.0 <= seconds < 1.0 + BESIDES_S


def logged(world: World, event: str) -> list[Json]:
    """The lines of one event."""
    return [line for line in world.gateway.log() if line.get("event") == event]


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
