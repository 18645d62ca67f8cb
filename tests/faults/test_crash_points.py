"""``kill -9`` of the gateway at named instants. Nothing in the product helps: the provider, the database's lock and the
receiver hold the gateway where it is to die."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from relay.provider.sandbox import Fault, SandboxSettings
from tests.faults.conftest import OpenWorld
from tests.faults.forwarder import Doorstep
from tests.faults.polling import until
from tests.faults.world import DELIVERED, LATE, TWICE, World

SECONDS: Final = 10.0


async def killed_and_started_again(world: World) -> None:
    """SIGKILL, then a new process that serves."""
    await world.gateway.kill()
    await world.gateway.start()
    await world.gateway.ready()


async def stays_in_doubt_until_a_report(world: World, message_id: str, task_id: str, number: str) -> None:
    """It is unconfirmed, is not sent again though time passes and other messages go out, and a report ends it."""
    sends = len(world.sandbox.ledger.sends)
    assert await world.status(message_id) == "unconfirmed"
    other = await world.send(world.numbers.plain(), text="goes out behind it")
    await world.has_status(other["id"], "submitted")
    assert await world.status(message_id) == "unconfirmed"
    assert len(world.sandbox.ledger.sends) == sends + 1

    assert await world.report(task_id, number) == 200

    assert await world.status(message_id) == "delivered"
    told = [event for event in await world.events() if event["data"].get("message_id") == message_id]
    assert [(event["type"], event["data"]["sequence"]) for event in told] == [("message.delivered", 1)]
    assert list(world.sandbox.ledger.duplicates) == []
    assert list(world.sandbox.ledger.repeats()) == []


@contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    """Nobody else writes to the database meanwhile."""
    with closing(sqlite3.connect(database, timeout=SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("ROLLBACK")


async def test_killed_after_the_commit_and_before_the_first_byte_it_is_in_doubt(open_world: OpenWorld) -> None:
    # Nobody can know afterwards that nothing was written, so this is treated like the cases in which it was.
    async with Doorstep() as doorstep, open_world(account={"base_url": doorstep.url}) as world:
        number = world.numbers.plain()
        sent = await world.send(number)
        assert await world.status(sent["id"]) == "submitting"

        await killed_and_started_again(world)

        assert await world.status(sent["id"]) == "unconfirmed"
        assert await world.report(sent["submissions"][0]["task_id"], number) == 200
        assert await world.status(sent["id"]) == "delivered"


async def test_killed_while_submissions_wait_for_their_turn_they_are_sent_once(open_world: OpenWorld) -> None:
    async with open_world(account={"connections": 1}) as world:
        first = world.numbers.fated(DELIVERED)
        world.sandbox.faults.add(Fault(call="send", mobile=first, drop="hold", accept=True))
        sent = [await world.send(number) for number in (first, *(world.numbers.fated(DELIVERED) for _ in range(2)))]
        await world.has_reached_the_provider(first)
        assert [await world.status(message["id"]) for message in sent[1:]] == ["queued", "queued"]

        await killed_and_started_again(world)

        for message in sent[1:]:
            await world.has_status(message["id"], "delivered")
        booked = [mobile for record in world.sandbox.ledger.sends for mobile in record.mobiles]
        assert len(set(booked)) == len(booked) == 3
        assert list(world.sandbox.ledger.duplicates) == []


async def test_killed_after_the_provider_has_read_and_before_it_answers_it_is_in_doubt(world: World) -> None:
    number = world.numbers.plain()
    world.sandbox.faults.add(Fault(call="send", mobile=number, drop="hold", accept=True))
    sent = await world.send(number)
    await world.has_reached_the_provider(number)

    await killed_and_started_again(world)

    await stays_in_doubt_until_a_report(world, sent["id"], sent["submissions"][0]["task_id"], number)


async def test_killed_after_the_answer_and_before_its_commit_it_is_in_doubt(world: World) -> None:
    number = world.numbers.plain()
    world.sandbox.faults.add(Fault(call="send", mobile=number, delay_ms=1500))
    sent = await world.send(number)
    await world.has_reached_the_provider(number)
    with locked(world.gateway.database):
        await until(lambda: world.sandbox.ledger.sends_to(number)[0].answered, SECONDS, "the provider has answered")
        await world.gateway.kill()
    await world.gateway.start()
    await world.gateway.ready()

    await stays_in_doubt_until_a_report(world, sent["id"], sent["submissions"][0]["task_id"], number)


async def test_a_report_that_comes_before_the_crash_ends_the_doubt_before_it_begins(world: World) -> None:
    number = world.numbers.plain()
    world.sandbox.faults.add(Fault(call="send", mobile=number, drop="hold", accept=True))
    sent = await world.send(number)
    await world.has_reached_the_provider(number)
    assert await world.report(sent["submissions"][0]["task_id"], number) == 200

    await killed_and_started_again(world)

    assert await world.status(sent["id"]) == "delivered"
    assert len(world.sandbox.ledger.sends) == 1


async def test_killed_after_the_commit_and_before_the_answer_a_retry_finds_the_same_message(world: World) -> None:
    number = world.numbers.plain()
    world.sandbox.faults.add(Fault(call="send", mobile=number, drop="hold", accept=True))
    body, key = {"to": number, "text": "hello"}, {"idempotency-key": "the-same"}
    # It is stored, and its answer is held back until the provider has answered, which it does not.
    first = asyncio.create_task(world.api.post("/v1/messages", json=body, headers={**key, "prefer": "wait=30"}))
    await world.has_reached_the_provider(number)

    await killed_and_started_again(world)

    (gone,) = await asyncio.gather(first, return_exceptions=True)
    assert isinstance(gone, Exception)
    again = await world.api.post("/v1/messages", json=body, headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    messages = [message async for message in world.pages("/v1/messages")]
    assert [message["id"] for message in messages] == [again.json()["id"]]
    task_id = again.json()["submissions"][0]["task_id"]
    await stays_in_doubt_until_a_report(world, again.json()["id"], task_id, number)


async def test_killed_after_the_receiver_has_read_the_webhook_comes_again(world: World) -> None:
    world.receiver.held.clear()
    sent = await world.send(world.numbers.plain())
    await until(lambda: world.receiver.read.total() == 1, SECONDS, "the receiver has read it")

    await killed_and_started_again(world)
    world.receiver.held.set()

    (event,) = await world.events()
    assert (event["type"], event["data"]["message_id"]) == ("message.submitted", sent["id"])
    await until(lambda: world.receiver.read[event["id"]] == 2, SECONDS, "the webhook comes again, under the same id")
    assert world.receiver.wrong == []


@asynccontextmanager
async def pulling_world(open_world: OpenWorld) -> AsyncIterator[World]:
    """A gateway that fetches its reports."""
    async with open_world(account={"pull_reports": True, "pull_interval_s": 1}, report_delay_ms=LATE) as it:
        yield it


async def test_killed_after_a_pull_was_stored_and_before_it_was_applied_it_is_applied_once(
    open_world: OpenWorld,
) -> None:
    async with pulling_world(open_world) as world:
        numbers = [*(world.numbers.plain() for _ in range(8000)), world.numbers.fated(TWICE)]
        sent = await world.send(numbers)
        await world.has_status(sent["id"], "submitted")
        world.sandbox.settings = SandboxSettings(report_delay_ms=LATE, pull_rows=10_000)
        # All in one body: what a gateway pulls after it was down for a while. It takes a while to apply, too.
        for record in world.sandbox.ledger.sends:
            world.sandbox.release(record, early=False)

        await until(lambda: pending_bodies(world.gateway.database) == 1, SECONDS, "the body is stored")
        await world.gateway.kill()

        assert pending_bodies(world.gateway.database) == 1, "the body was applied before the kill came"
        assert list(world.sandbox.accounts["sandbox"].reports) == []
        await world.gateway.start()
        await world.gateway.ready()
        await world.has_status(sent["id"], "delivered", within_s=30)
        rows = await world.recipients(sent["id"])
        assert sum(len(row["reports"]) for row in rows) == len(numbers) + 1
        told = [event for event in await world.events() if event["type"] == "message.delivered"]
        names = [recipient["to"] for event in told for recipient in event["data"]["recipients"]]
        assert sorted(names) == sorted(numbers)


def pending_bodies(database: Path) -> int:
    """Bodies that are stored and not applied."""
    with closing(sqlite3.connect(database, timeout=SECONDS)) as connection:
        (found,) = connection.execute("SELECT COUNT(*) FROM raw_bodies WHERE state = 'pending'").fetchone()
    return int(found)


@pytest.mark.parametrize("choice", ["fail", "resend"])
async def test_after_a_crash_the_sender_has_it_his_way(world: World, choice: str) -> None:
    number = world.numbers.plain()
    world.sandbox.faults.add(Fault(call="send", mobile=number, drop="hold", accept=False))
    calls = world.sandbox.ledger.counts["calls_send"]
    sent = await world.send(number, on_unconfirmed=choice)
    await until(lambda: world.sandbox.ledger.counts["calls_send"] == calls + 1, SECONDS, "the provider reads it")

    await killed_and_started_again(world)

    await world.has_status(sent["id"], {"fail": "failed", "resend": "submitted"}[choice])
    # With `resend` under the same taskId, which this provider had not taken the first time.
    booked = [record.task_id for record in world.sandbox.ledger.sends]
    assert booked == {"fail": [], "resend": [sent["submissions"][0]["task_id"]]}[choice]
