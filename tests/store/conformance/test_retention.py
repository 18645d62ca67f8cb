"""What is old goes, by kind and in small batches; what is not final, not applied or still needed stays."""

from typing import Any, Final

import pytest

from relay.domain.provider import SendOutcome
from relay.domain.retention import RETENTION_KINDS, RetentionKind
from relay.domain.times import DAY_MS, HOUR_MS
from relay.ports import Quota, Retired, Store
from tests.store.builders import (
    ACCEPTED,
    NOT_SENT,
    NOW_MS,
    REFUSED,
    UNCONFIRMED,
    attempt_record,
    inbound,
    mobiles,
    raw_body,
    raw_id,
    reading,
    report,
    task_of,
    work_of,
)
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

BEFORE_MS: Final = NOW_MS - NOW_MS % DAY_MS + 2 * DAY_MS
"""The begin of a day, because an engine may let go of whole days only; everything in the tests is older."""
LATER_MS: Final = BEFORE_MS + 90 * DAY_MS
"""When the retention runs: its period is 90 days."""
NOTHING: Final = Retired(rows=0, more=False, overdue_ms=None)


async def _retire(
    world: World, kind: RetentionKind, *, before_ms: int = BEFORE_MS, now_ms: int = LATER_MS, limit: int = 500
) -> list[Retired]:
    """Batch by batch until there is no more."""
    batches: list[Retired] = []
    while not batches or batches[-1].more:
        batches.append(await world.store.retire(kind, before_ms=before_ms, now_ms=now_ms, limit=limit))
        assert len(batches) < 100
    return batches


async def _rows(world: World, kind: RetentionKind, **changes: Any) -> int:
    return sum(batch.rows for batch in await _retire(world, kind, **changes))


def _count(database: Database, table: str) -> int:
    number: int = database.execute(f"SELECT COUNT(*) FROM {table}")[0][0]  # noqa: S608 - names of this file
    return number


@pytest.mark.parametrize("kind", RETENTION_KINDS)
async def test_an_empty_store_has_nothing_that_is_old(store: Store, kind: RetentionKind) -> None:
    assert await store.retire(kind, before_ms=BEFORE_MS, now_ms=LATER_MS, limit=500) == NOTHING


@pytest.mark.parametrize("kind", RETENTION_KINDS)
async def test_what_is_young_stays(world: World, database: Database, kind: RetentionKind) -> None:
    await world.endpoint()
    message = await world.accept(mobiles(2))
    await world.finish(work_of(message), ACCEPTED)
    await world.report(*(report(task_of(message), mobile) for mobile in mobiles(2)))
    await world.hear(inbound(mobiles(1)[0]), inbound(mobiles(1)[0] + 5))
    tables = ("messages", "recipients", "events", "deliveries", "raw_bodies", "inbound", "orphans", "inbound_seen")
    before = [_count(database, table) for table in tables]

    assert await world.store.retire(kind, before_ms=NOW_MS - NOW_MS % DAY_MS, now_ms=LATER_MS, limit=500) == NOTHING

    assert [_count(database, table) for table in tables] == before
    assert [recipient.to for recipient in await world.recipients(message)] == [str(mobile) for mobile in mobiles(2)]


# -- content ---------------------------------------------------------------------------------------------------------


async def test_numbers_and_texts_are_erased_and_what_became_of_them_stays(world: World) -> None:
    numbers = mobiles(2)
    message = await world.accept(numbers)
    await world.finish(work_of(message), ACCEPTED)
    await world.report(report(task_of(message), numbers[0]), report(task_of(message), numbers[1], "UNDELIV"))
    before, recipients = await world.view(message), await world.recipients(message)

    assert await _rows(world, "content") == 3

    after = await world.view(message)
    assert (after.text, after.erased, [(number.to, number.reason) for number in after.refused]) == (
        "",
        True,
        [("erased", "malformed")],
    )
    assert (after.counts, after.units, after.reference) == (before.counts, before.units, before.reference)
    erased = await world.recipients(message)
    assert [recipient.to for recipient in erased] == ["erased", "erased"]
    assert sorted((found.status, len(found.reports)) for found in erased) == sorted(
        (found.status, len(found.reports)) for found in recipients
    )
    assert await _retire(world, "content") == [NOTHING]


async def test_a_large_message_is_erased_over_many_batches_and_no_two_recipients_become_one(world: World) -> None:
    message = await world.accept(mobiles(7), mobiles(5, first=100))
    for index in (0, 1):
        await world.finish(work_of(message, index), REFUSED)

    batches = await _retire(world, "content", limit=5)

    assert [batch.rows for batch in batches] == [5, 5, 3, 0]
    assert [batch.overdue_ms for batch in batches] == [NOW_MS, NOW_MS, NOW_MS, None]
    page_by_page = await world.recipients(message, limit=2)
    assert [(found.to, found.status) for found in page_by_page] == [("erased", "failed")] * 12


async def test_erasing_goes_on_where_the_last_batch_ended(world: World) -> None:
    messages = [await world.accept(mobiles(1, first=number)) for number in range(5)]
    for message in messages:
        await world.finish(work_of(message), REFUSED)

    batches = await _retire(world, "content", limit=10)

    assert [batch.rows for batch in batches] == [4, 4, 2]
    assert [(await world.view(message)).erased for message in messages] == [True] * 5


@pytest.mark.parametrize("outcome", [UNCONFIRMED, ACCEPTED, NOT_SENT], ids=lambda outcome: type(outcome).__name__)
async def test_what_is_not_final_is_left_and_looked_at_again(world: World, outcome: SendOutcome) -> None:
    message = await world.accept(mobiles(2))
    later = await world.accept(mobiles(1, first=50))
    await world.finish(work_of(message), outcome)
    await world.finish(work_of(later), REFUSED)

    assert await _rows(world, "content") == 2
    assert await _rows(world, "messages") == 2
    assert (await world.view(message)).text == message.text
    assert await world.store.message(world.team.id, later.id) is None

    await world.report(*(report(task_of(message), mobile) for mobile in mobiles(2)), now_ms=LATER_MS)
    assert await _rows(world, "content", now_ms=LATER_MS + HOUR_MS - 1) == 0
    assert await _rows(world, "content", now_ms=LATER_MS + HOUR_MS) == 3
    assert (await world.view(message)).erased
    assert await _rows(world, "messages", now_ms=LATER_MS + HOUR_MS) == 5
    assert await world.store.message(world.team.id, message.id) is None


async def test_the_time_of_a_scheduled_message_begins_when_it_is_to_be_sent(world: World) -> None:
    send_at_ms = NOW_MS + 60 * DAY_MS
    message = await world.accept(
        mobiles(1), status="scheduled", due_ms=send_at_ms, send_at_ms=send_at_ms, expires_ms=send_at_ms + DAY_MS
    )
    (work,) = await world.claim(now_ms=send_at_ms)
    await world.finish(work, REFUSED, now_ms=send_at_ms)

    assert await _rows(world, "content") == 0
    assert await _rows(world, "content", before_ms=send_at_ms, now_ms=send_at_ms + 90 * DAY_MS) == 0
    assert await _rows(world, "content", before_ms=send_at_ms + 1, now_ms=send_at_ms + 90 * DAY_MS + 1) == 2
    assert (await world.view(message)).erased


async def test_a_report_of_an_erased_number_finds_nobody(world: World) -> None:
    message = await world.accept(mobiles(2))
    await world.finish(work_of(message), REFUSED)
    await _retire(world, "content")

    received = await world.report(
        report(task_of(message), mobiles(1)[0]), report(task_of(message), mobiles(1)[0], masked=True), now_ms=LATER_MS
    )

    assert received.results == {"orphaned": 2}
    assert await world.statuses(message) == {"erased": "failed"}


async def test_inbound_messages_and_orphans_are_erased_and_their_rows_stay(world: World, database: Database) -> None:
    await world.accept(mobiles(1))
    await world.hear(inbound(mobiles(1)[0], "private words"), inbound(mobiles(1)[0] + 5, "other words"))

    assert (await _rows(world, "inbound_content"), await _rows(world, "orphan_content")) == (1, 1)

    (heard,) = (await world.store.inbound_list(world.team.id, position=None, limit=10)).data
    assert (heard.from_, heard.text, heard.erased, heard.matched_by) == ("erased", "", True, "last_sender")
    assert database.execute("SELECT mobile_text, content FROM orphans") == [("erased", "")]
    assert (await _rows(world, "inbound_content"), await _rows(world, "orphan_content")) == (0, 0)


async def test_nothing_that_was_erased_is_left_on_the_disk(engine: Any) -> None:
    database = engine.new()
    async with database.open() as store:
        world = World(store)
        await world.start()
        message = await world.accept(mobiles(1), text="【示例】unmistakable one")
        await world.finish(work_of(message), REFUSED)
        await world.hear(inbound(mobiles(1)[0], "unmistakable two"))
        await store.store_raw(world.account.id, raw_body(body=b"unmistakable three"), own := raw_id())
        await store.receive_reports(world.account.id, own, raw_body(body=b"unmistakable three"), reading([]))
        for kind in RETENTION_KINDS:
            await _retire(world, kind)
    assert b"unmistakable" not in database.stored_bytes()


# -- rows ------------------------------------------------------------------------------------------------------------


async def test_a_message_goes_with_all_that_belongs_to_it(world: World, database: Database) -> None:
    message = await world.accept(mobiles(3), mobiles(2, first=100))
    for index in (0, 1):
        await world.finish(work_of(message, index), ACCEPTED)
        numbers = message.submissions[index].mobiles
        await world.report(*(report(task_of(message, index), mobile) for mobile in numbers))
    kept = await world.accept(mobiles(1, first=200))

    batches = await _retire(world, "messages", limit=4)

    tables = ("reports", "recipients", "submissions", "message_states", "messages")
    assert [_count(database, table) for table in tables] == [0, 1, 1, 1, 1]
    assert [batch.rows for batch in batches] == [4, 4, 3, 0, 0]
    assert await world.statuses(kept) == {str(mobiles(1, first=200)[0]): "submitting"}


async def test_inbound_messages_and_orphans_go(world: World, database: Database) -> None:
    await world.accept(mobiles(1))
    await world.hear(inbound(mobiles(1)[0]), inbound(mobiles(1)[0] + 5))

    assert (await _rows(world, "inbound"), await _rows(world, "orphans")) == (1, 1)

    assert (_count(database, "inbound"), _count(database, "orphans")) == (0, 0)


# -- events and deliveries -------------------------------------------------------------------------------------------


async def _events(world: World, number: int) -> None:
    for index in range(number):
        await world.finish(work_of(await world.accept(mobiles(1, first=index))), ACCEPTED)


async def test_old_events_go_and_a_poller_goes_on_behind_them(world: World) -> None:
    await _events(world, 3)
    seen = await world.store.events(world.team.id, position=None, limit=2, event_types=())

    batches = await _retire(world, "events", limit=2)
    await _events(world, 1)

    assert [(batch.rows, batch.overdue_ms) for batch in batches] == [(2, NOW_MS), (1, None)]
    page = await world.store.events(world.team.id, position=seen.next_position, limit=10, event_types=())
    assert len(page.data) == 1


async def test_what_nobody_took_ends_as_expired_and_is_seen_until_its_event_goes(world: World) -> None:
    endpoint = await world.endpoint(status="disabled")
    await _events(world, 3)

    batches = await _retire(world, "pending", limit=2)

    assert [(batch.rows, batch.more) for batch in batches] == [(2, True), (1, False)]
    page = await world.store.deliveries(
        world.team.id, endpoint_id=endpoint.view.id, event_id=None, status="expired", position=None, limit=10
    )
    assert [(found.status, found.attempt_count, found.next_attempt_at) for found in page.data] == [
        ("expired", 0, None)
    ] * 3
    assert {found.finished_at.timestamp() * 1000 for found in page.data if found.finished_at} == {LATER_MS}
    assert await world.store.delivery(world.team.id, page.data[0].id) is not None
    assert await world.lease((endpoint, 10), now_ms=LATER_MS) == []


async def test_a_delivery_that_is_under_way_ends_first_and_its_event_stays_until_then(world: World) -> None:
    endpoint = await world.endpoint()
    await _events(world, 2)
    works = await world.lease((endpoint, 1), now_ms=LATER_MS)

    assert await _rows(world, "pending") == 1
    assert await _rows(world, "events") == 0
    finished = await world.store.finish_delivery(works[0], attempt_record(works[0], 200, at_ms=LATER_MS))

    assert not finished.fenced
    assert await _rows(world, "events") == 2


async def test_finished_deliveries_and_attempts_go(world: World, database: Database) -> None:
    endpoint = await world.endpoint()
    await _events(world, 3)
    for work in await world.lease((endpoint, 2)):
        await world.store.finish_delivery(work, attempt_record(work, 200))

    assert [batch.rows for batch in await _retire(world, "deliveries", limit=1)] == [1, 1, 0]
    assert await _rows(world, "attempts") == 2

    assert [_count(database, table) for table in ("delivery_history", "attempts", "deliveries")] == [0, 0, 1]


# -- what came in ----------------------------------------------------------------------------------------------------


async def test_applied_bodies_go_what_waits_stays_and_the_quarantine_has_its_own_time(
    world: World, database: Database
) -> None:
    pending = raw_id()
    await world.store.store_raw(world.account.id, raw_body(source="pull", body=b"pending"), pending)
    await world.store.receive_reports(world.account.id, raw_id(), raw_body(body=b"applied"), reading([]))
    await world.store.quarantine(world.account.id, raw_id(), raw_body(body=b"quarantined"), "why")
    await world.store.receive_reports(world.account.id, raw_id(), raw_body(body=b"applied too"), reading([]))

    assert [batch.rows for batch in await _retire(world, "raw", limit=2)] == [1, 1, 0]
    assert sorted(bytes(row[0]) for row in database.execute("SELECT body FROM raw_bodies")) == [
        b"pending",
        b"quarantined",
    ]

    await world.store.receive_reports(world.account.id, pending, raw_body(source="push", body=b"pending"), reading([]))
    assert await _rows(world, "raw", now_ms=LATER_MS + HOUR_MS) == 1
    assert await _rows(world, "quarantine") == 1
    assert _count(database, "raw_bodies") == 0


async def test_pairs_of_inbound_messages_are_forgotten_oldest_first(world: World, database: Database) -> None:
    await world.accept(mobiles(1))
    old = inbound(mobiles(1)[0], "old")
    young = inbound(mobiles(1)[0], "young")
    await world.hear(old, now_ms=NOW_MS)
    await world.hear(young, now_ms=BEFORE_MS)

    assert await _rows(world, "pairs") == 1

    assert _count(database, "inbound_seen") == 1
    assert await world.hear(young, source="pull", now_ms=BEFORE_MS + 1) == {"twin": 1}


async def test_used_quota_is_forgotten_by_its_day(world: World, database: Database) -> None:
    for day in ("2026-11-17", "2026-11-18", "2026-11-20", "2026-11-21"):
        await world.try_accept(world.draft(mobiles(1)), quota=Quota(day=day, units=10, ends_in_s=1.0))

    assert await _rows(world, "quota") == 2

    assert database.execute("SELECT day FROM quota_use ORDER BY day") == [("2026-11-20",), ("2026-11-21",)]


async def test_whole_days_can_go_at_once(world: World, database: Database) -> None:
    """On an engine with partitions: those of the day are made before its rows come, and dropped after."""
    for kind in RETENTION_KINDS:
        await _retire(world, kind, before_ms=NOW_MS - NOW_MS % DAY_MS, now_ms=NOW_MS)
    endpoint = await world.endpoint()
    await _events(world, 2)
    (work,) = await world.lease((endpoint, 1))
    await world.store.finish_delivery(work, attempt_record(work, 200))
    await world.store.receive_reports(world.account.id, raw_id(), raw_body(), reading([]))

    for kind in RETENTION_KINDS:
        await _retire(world, kind)

    tables = ("events", "delivery_history", "attempts", "raw_bodies")
    assert [_count(database, table) for table in tables] == [0, 0, 0, 0]
    await _events(world, 1)
    assert len(await world.events()) == 1
