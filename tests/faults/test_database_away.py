"""The database cannot be written while callbacks come: they are answered 200, spooled, and applied once it is back."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Final

import httpx
import pytest

from relay.cli import exits
from tests.faults.polling import until
from tests.faults.world import Json, World

SECONDS: Final = 20.0
FULL_AT_BYTES: Final = 24 * 1024
"""Less than the write-ahead log grows by with one callback, more than the spool needs for all of these."""


@asynccontextmanager
async def locked(world: World) -> AsyncIterator[None]:
    """Another process writes, and does not come to an end."""
    with closing(sqlite3.connect(world.gateway.database, timeout=SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@asynccontextmanager
async def full(world: World) -> AsyncIterator[None]:
    """The disk has no room for the database to grow. The process may be another one at the end."""
    world.gateway.limit_file_size(FULL_AT_BYTES)
    yield
    if world.gateway.runs:
        world.gateway.limit_file_size(None)


Away = Callable[[World], AbstractAsyncContextManager[None]]


@pytest.fixture(params=[locked, full])
def away(request: pytest.FixtureRequest) -> Away:
    """A way for the database to be away."""
    chosen: Away = request.param
    return chosen


class Callbacks:
    """Callbacks whose order shows: of two reports that contradict each other the first one counts."""

    def __init__(self, world: World, sent: list[Json], numbers: list[str]) -> None:
        self.answers: list[int | None] = []
        self._world = world
        self._task_ids = [message["submissions"][0]["task_id"] for message in sent]
        self._numbers = numbers

    async def first(self) -> None:
        """Each number is delivered, and has written to us."""
        await self._make("DELIVRD", "one")

    async def second(self) -> None:
        """Each number is not delivered, and has written again."""
        await self._make("UNDELIV", "two")

    async def _make(self, status: str, text: str) -> None:
        self.answers += await asyncio.gather(
            *(self._world.report(*pair, status) for pair in zip(self._task_ids, self._numbers, strict=True)),
            *(self._world.inbound(number, f"{text} {number}") for number in self._numbers),
        )


async def sent_messages(world: World) -> tuple[list[Json], Callbacks]:
    """Four messages that wait for their reports."""
    numbers = [world.numbers.plain() for _ in range(4)]
    sent = [await world.send(number) for number in numbers]
    for message in sent:
        await world.has_status(message["id"], "submitted")
    return sent, Callbacks(world, sent, numbers)


async def assert_applied_in_order_and_once(world: World, sent: list[Json]) -> None:
    """Both rounds of callbacks, the first one first."""

    async def all_there() -> bool:
        return len([entry async for entry in world.pages("/v1/inbound")]) == 2 * len(sent)

    await until(all_there, SECONDS, "the spool is replayed")
    for message in sent:
        (row,) = await world.recipients(message["id"])
        assert (row["status"], [report["status"] for report in row["reports"]]) == ("delivered", ["DELIVRD", "UNDELIV"])
    events = await world.events()
    for message in sent:
        own = [event for event in events if event["data"].get("message_id") == message["id"]]
        told = [(event["type"], event["data"]["sequence"]) for event in own if event["type"].startswith("message.")]
        assert told == [("message.submitted", 1), ("message.delivered", 2), ("message.report_conflict", 3)]
    texts = [event["data"]["text"] for event in events if event["type"] == "inbound.received"]
    assert len(set(texts)) == len(texts) == 2 * len(sent)
    assert [text.split()[0] for text in texts] == ["one"] * len(sent) + ["two"] * len(sent)
    ids = {event["id"] for event in events}
    await until(lambda: ids <= world.receiver.times.keys(), SECONDS, "every event has reached the receiver")
    assert world.receiver.wrong == []


async def test_callbacks_are_answered_while_the_database_is_away_and_survive_a_kill(world: World, away: Away) -> None:
    sent, callbacks = await sent_messages(world)

    async with away(world):
        await callbacks.first()
        await callbacks.second()
        await world.gateway.kill()
    assert callbacks.answers == [200] * len(callbacks.answers)
    await world.gateway.start()
    await world.gateway.ready()

    await assert_applied_in_order_and_once(world, sent)


async def test_callbacks_are_applied_when_the_database_comes_back_without_a_restart(world: World, away: Away) -> None:
    sent, callbacks = await sent_messages(world)

    async with away(world):
        await callbacks.first()
        await callbacks.second()

    assert callbacks.answers == [200] * len(callbacks.answers)
    await assert_applied_in_order_and_once(world, sent)


async def test_a_gateway_that_is_killed_again_while_it_replays_applies_everything_once(world: World) -> None:
    sent, callbacks = await sent_messages(world)
    async with full(world):
        await callbacks.first()
        await callbacks.second()
        await world.gateway.kill()

    for _ in range(3):
        # It gets as far as it gets before its disk is full again: half of the spool is applied and marked, or nothing.
        await world.gateway.start()
        await world.gateway.ready()
        await world.gateway.kill()
    await world.gateway.start()
    await world.gateway.ready()

    await assert_applied_in_order_and_once(world, sent)


async def test_when_the_spool_has_no_room_either_a_callback_is_refused_and_counted_and_the_next_one_is_taken(
    world: World,
) -> None:
    sent, callbacks = await sent_messages(world)
    await callbacks.first()

    # Not one byte can be written any more, neither to the database nor to the spool.
    world.gateway.limit_file_size(0)
    await callbacks.second()
    async with httpx.AsyncClient(base_url=world.gateway.url, trust_env=False) as provider:
        answer = await provider.post(httpx.URL(world.report_url).path, content=b"a body that is told nowhere")
    world.gateway.limit_file_size(None)

    number = len(callbacks.answers) // 2
    assert callbacks.answers == [200] * number + [503] * number
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert (answer.headers["content-type"], answer.headers["retry-after"]) == ("application/problem+json", "1")
    assert await world.gateway.metric("relay_callbacks_total", result="refused") == number + 1
    assert await world.gateway.metric("relay_callbacks_total", result="spooled") == 0
    refused = [line for line in world.gateway.log() if line["event"] == "callback.refused"]
    assert len(refused) == number + 1
    assert refused[-1].keys() >= {"kind", "body_bytes", "request_id"}
    assert "told nowhere" not in str(world.gateway.log())
    # Nothing half written stands in the way of what comes afterwards.
    await callbacks.second()
    assert callbacks.answers[-number:] == [200] * number
    await assert_applied_in_order_and_once(world, sent)


async def test_a_send_is_refused_while_the_database_is_away_and_goes_out_once_afterwards(
    world: World, away: Away
) -> None:
    number = world.numbers.plain()
    key = {"idempotency-key": "until-it-is-taken"}

    async with away(world):
        refused = await world.api.post("/v1/messages", json={"to": number, "text": "hello"}, headers=key)
    assert (refused.status_code, refused.json()["retryable"]) == (503, True)
    taken = await world.api.post("/v1/messages", json={"to": number, "text": "hello"}, headers=key)

    assert taken.status_code == 202
    await world.has_status(taken.json()["id"], "submitted")
    assert len(world.sandbox.ledger.sends_to(number)) == 1


async def test_a_gateway_does_not_start_while_the_database_is_locked_and_says_why(world: World) -> None:
    await world.gateway.kill()

    async with locked(world):
        code, told = await world.gateway.run_a_second_one()

    assert code == exits.STORE
    assert told.startswith("relay: database: ")
    assert "locked" in told
