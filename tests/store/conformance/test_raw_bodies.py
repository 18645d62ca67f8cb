"""Raw bodies: kept before they are read, applied once."""

import asyncio

import pytest

from relay.domain.provider import BodyKind
from relay.ports import PendingRaw, QueueDepth, ReadBody, ReadInbound, ReadReports
from tests.store import builders
from tests.store.builders import ACCEPTED, NOW_MS, mobiles, raw_body, raw_id, reading, report, task_of, work_of
from tests.store.conformance.engines import Database
from tests.store.conformance.world import NO_EFFECTS, World

NUMBERS = mobiles(2)


async def _states(database: Database) -> list[tuple[str, bytes, str | None]]:
    return database.execute("SELECT state, body, why FROM raw_bodies ORDER BY id")


async def test_a_body_that_was_applied_before_changes_nothing(world: World, database: Database) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), ACCEPTED)
    own, raw = raw_id(), raw_body(body=b"the body")
    results = []
    for word in ("DELIVRD", "UNDELIV"):
        rows = reading([report(task_of(message), NUMBERS[0], word)])
        received = await world.store.receive_reports(world.account.id, own, raw, rows)
        results.append((received.raw_id, received.results, received.quarantined, received.effects == NO_EFFECTS))
    assert results == [(own, {"applied": 1}, False, False), (own, {}, False, True)]
    assert await world.counts(message) == {"delivered": 1, "submitted": 1}
    assert len((await world.recipients(message))[0].reports) == 1
    assert await _states(database) == [("applied", b"the body", None)]


async def test_an_inbound_body_that_was_applied_before_changes_nothing(world: World) -> None:
    await world.accept(NUMBERS)
    own, raw, rows = raw_id(), raw_body("mo"), reading([builders.inbound(NUMBERS[0], raw_time=None)])
    results = [(await world.store.receive_inbound(world.account.id, own, raw, rows)).results for _ in range(2)]
    assert results == [{"matched": 1}, {}]
    assert len(await world.events()) == 1


async def test_a_stored_body_is_pending_until_it_is_applied_once(world: World, database: Database) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), ACCEPTED)
    own, raw = raw_id(), raw_body(source="pull", body=b"the body")
    await world.store.store_raw(world.account.id, raw, own)
    assert await world.store.pending_raw(10) == [PendingRaw(id=own, account_id=world.account.id, raw=raw)]
    assert (await world.store.queue_depths(NOW_MS + 2000))[2] == QueueDepth(queue="raw", depth=1, oldest_due_age_s=2.0)
    rows = reading([report(task_of(message), NUMBERS[0])])
    results = [(await world.store.receive_reports(world.account.id, own, raw, rows)).results for _ in range(2)]
    assert results == [{"applied": 1}, {}]
    assert await world.store.pending_raw(10) == []
    assert await _states(database) == [("applied", b"the body", None)]


async def test_pending_bodies_are_listed_oldest_first_up_to_the_limit(world: World) -> None:
    ids = [raw_id() for _ in range(3)]
    for own in reversed(ids):
        await world.store.store_raw(world.account.id, raw_body(source="pull"), own)
    assert [item.id for item in await world.store.pending_raw(2)] == ids[:2]


async def test_a_body_with_unreadable_parts_is_kept_in_quarantine_and_its_rows_count(
    world: World, database: Database
) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), ACCEPTED)
    rows = reading([report(task_of(message), NUMBERS[0])], unreadable=1)
    received = await world.store.receive_reports(world.account.id, raw_id(), raw_body(body=b"half"), rows)
    assert (received.results, received.quarantined) == ({"applied": 1}, True)
    assert await _states(database) == [("quarantined", b"half", "parts of it cannot be read")]


@pytest.mark.parametrize("pulled_before", [False, True])
async def test_a_body_that_cannot_be_applied_is_kept_in_quarantine(
    world: World, database: Database, pulled_before: bool
) -> None:
    own, raw = raw_id(), raw_body(source="pull", body=b"garbage")
    if pulled_before:
        await world.store.store_raw(world.account.id, raw, own)
    await world.store.quarantine(world.account.id, own, raw, "it broke our code")
    assert await _states(database) == [("quarantined", b"garbage", "it broke our code")]
    assert await world.store.pending_raw(10) == []
    again = await world.store.receive_reports(world.account.id, own, raw, reading([]))
    assert again.results == {}
    assert await _states(database) == [("quarantined", b"garbage", "it broke our code")]


@pytest.mark.parametrize("kind", ["report", "mo"])
@pytest.mark.parametrize("pulled_before", [False, True])
async def test_an_empty_pull_is_forgotten(
    world: World, database: Database, kind: BodyKind, pulled_before: bool
) -> None:
    own, raw = raw_id(), raw_body(kind, "pull")
    if pulled_before:
        await world.store.store_raw(world.account.id, raw, own)
    receive = world.store.receive_reports if kind == "report" else world.store.receive_inbound
    assert (await receive(world.account.id, own, raw, reading([]))).results == {}
    assert await _states(database) == []


async def test_an_empty_callback_is_kept(world: World, database: Database) -> None:
    await world.store.receive_reports(world.account.id, raw_id(), raw_body(body=b"{}"), reading([]))
    assert await _states(database) == [("applied", b"{}", None)]


async def test_a_body_that_comes_twice_at_once_is_applied_once(world: World, database: Database) -> None:
    # The late write of a callback, and its replay from the spool.
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), ACCEPTED)
    own, raw = raw_id(), raw_body(body=b"the body")
    rows = reading([report(task_of(message), NUMBERS[0])])
    for prepared in (False, True):
        if prepared:
            own, raw = raw_id(), raw_body(source="pull", body=b"the body")
            rows = reading([report(task_of(message), NUMBERS[1])])
            await world.store.store_raw(world.account.id, raw, own)
        late = world.store.receive_reports(world.account.id, own, raw, rows)
        item = PendingRaw(id=own, account_id=world.account.id, raw=raw)
        replay = world.store.receive_in_turn([ReadReports(item=item, reading=rows)])
        first, (second,) = await asyncio.gather(late, replay)
        assert sorted([first.results, second.results], key=len) == [{}, {"applied": 1}]
    assert [len(found.reports) for found in await world.recipients(message)] == [1, 1]
    assert await world.counts(message) == {"delivered": 2}


async def test_bodies_received_in_turn_are_applied_in_their_order_and_each_has_its_results(
    world: World, database: Database
) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), ACCEPTED)
    bodies: list[ReadBody] = [
        ReadReports(
            item=PendingRaw(id=raw_id(), account_id=world.account.id, raw=raw_body(body=word.encode())),
            reading=reading([report(task_of(message), NUMBERS[0], word)]),
        )
        for word in ("UNDELIV", "DELIVRD")
    ]
    inbound = PendingRaw(id=raw_id(), account_id=world.account.id, raw=raw_body("mo"))
    bodies.append(ReadInbound(item=inbound, reading=reading([builders.inbound(NUMBERS[0], raw_time=None)])))

    received = await world.store.receive_in_turn([*bodies, bodies[0]])

    assert [each.raw_id for each in received] == [body.item.id for body in [*bodies, bodies[0]]]
    assert [each.results for each in received] == [{"applied": 1}, {"conflict": 1}, {"matched": 1}, {}]
    assert await world.counts(message) == {"undelivered": 1, "submitted": 1}
