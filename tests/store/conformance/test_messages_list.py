"""Listing messages and their recipients."""

import random
from typing import Final

import msgspec
import pytest

from relay.domain.ids import raw_bytes
from relay.domain.messages import MessageView
from relay.domain.states import FINAL, STATUSES, RecipientStatus, message_status
from relay.domain.times import DAY_MS
from relay.ports import MessageFilter, Page
from tests.store.builders import ACCEPTED, NOW_MS, mobiles, report, task_of, work_of
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

NUMBERS = mobiles(2)
SEED: Final = 7


async def _list(world: World, filters: MessageFilter, limit: int = 100, position: str | None = None) -> list[str]:
    page: Page[MessageView] = await world.store.messages(world.team.id, filters, position=position, limit=limit)
    return [view.id for view in page.data]


async def test_messages_are_listed_newest_first_page_by_page_as_they_are_seen_alone(world: World) -> None:
    made = [await world.accept(NUMBERS) for _ in range(3)]
    first = await world.store.messages(world.team.id, MessageFilter(), position=None, limit=2)
    second = await world.store.messages(world.team.id, MessageFilter(), position=first.next_position, limit=2)
    assert [first.data, second.data] == [
        [await world.view(made[2]), await world.view(made[1])],
        [await world.view(made[0])],
    ]
    assert second.next_position is None


async def test_a_full_last_page_has_no_next(world: World) -> None:
    for _ in range(2):
        await world.accept(NUMBERS)
    assert (await world.store.messages(world.team.id, MessageFilter(), position=None, limit=2)).next_position is None


@pytest.mark.parametrize("filters", [MessageFilter(to=NUMBERS[0]), MessageFilter(reference="a")])
async def test_the_few_that_a_filter_finds_are_listed_page_by_page_however_far_they_lie_apart(
    world: World, filters: MessageFilter
) -> None:
    made = [await world.accept(NUMBERS[:1], created_ms=NOW_MS + day * DAY_MS, reference="a") for day in range(5)]
    await world.accept(NUMBERS[1:], created_ms=NOW_MS + 5 * DAY_MS, reference="b")
    for draft in made[::2]:
        await world.finish(work_of(draft), ACCEPTED)
    filters = msgspec.structs.replace(filters, status="submitted")
    first = await world.store.messages(world.team.id, filters, position=None, limit=2)
    second = await world.store.messages(world.team.id, filters, position=first.next_position, limit=2)
    assert [[view.id for view in page.data] for page in (first, second)] == [[made[4].id, made[2].id], [made[0].id]]
    assert second.next_position is None


async def test_each_filter_leaves_what_it_says(world: World) -> None:
    first = await world.accept(NUMBERS[:1], created_ms=NOW_MS, reference="a")
    second = await world.accept(NUMBERS[1:], created_ms=NOW_MS + 10, reference="b")
    third = await world.accept(NUMBERS[:1], NUMBERS[1:], created_ms=NOW_MS + 20, reference=None)
    await world.finish(work_of(second), ACCEPTED)
    cases = [
        (MessageFilter(), [third, second, first]),
        (MessageFilter(reference="a"), [first]),
        (MessageFilter(reference="c"), []),
        (MessageFilter(to=NUMBERS[0]), [third, first]),
        (MessageFilter(to=NUMBERS[1] + 1), []),
        (MessageFilter(created_after_ms=NOW_MS), [third, second]),
        (MessageFilter(created_before_ms=NOW_MS + 20), [second, first]),
        (MessageFilter(created_after_ms=NOW_MS, created_before_ms=NOW_MS + 20), [second]),
        (MessageFilter(status="submitted"), [second]),
        (MessageFilter(status="submitting"), [third, first]),
        (MessageFilter(status="submitting", to=NUMBERS[1]), [third]),
    ]
    found = [await _list(world, filters) for filters, _ in cases]
    assert found == [[message.id for message in expected] for _, expected in cases]


async def test_a_filter_and_a_position_work_together(world: World) -> None:
    made = [await world.accept(NUMBERS, reference="a" if index % 2 else "b") for index in range(6)]
    page = await world.store.messages(world.team.id, MessageFilter(reference="a"), position=None, limit=2)
    assert [view.id for view in page.data] == [made[5].id, made[3].id]
    assert await _list(world, MessageFilter(reference="a"), position=page.next_position) == [made[1].id]


async def test_the_status_that_is_filtered_by_is_the_status_that_is_shown(world: World, database: Database) -> None:
    """For 200 random counts: the word that SQL makes of them is that of ``message_status``."""
    chance = random.Random(SEED)  # noqa: S311 - the same cases at every run
    columns = ", ".join(f"n_{status} = ?" for status in STATUSES)
    expected: dict[str, str] = {}
    for case in range(200):
        chosen = [*FINAL] if case % 2 else [*STATUSES]
        counts: dict[RecipientStatus, int] = dict.fromkeys(STATUSES, 0)
        for status in sorted(chance.sample(sorted(chosen), chance.choice((1, 1, 2, 3)))):
            counts[status] = chance.randint(1, 3)
        message = await world.accept(mobiles(sum(counts.values())))
        database.execute(
            f"UPDATE message_states SET {columns} WHERE message = ?",  # noqa: S608 - the names of the statuses
            *(counts[status] for status in STATUSES),
            raw_bytes(message.id),
        )
        expected[message.id] = message_status(counts)
    shown = await world.store.messages(world.team.id, MessageFilter(), position=None, limit=200)
    assert {view.id: view.status for view in shown.data} == expected
    for word in {*expected.values(), *STATUSES, "completed"}:
        ids = await _list(world, MessageFilter(status=word), limit=200)
        assert sorted(ids) == sorted(own for own, status in expected.items() if status == word)


async def test_recipients_are_read_page_by_page_over_all_submissions(world: World) -> None:
    chunks = [mobiles(3, 7), mobiles(2), mobiles(4, 3)]
    message = await world.accept(*chunks)
    expected = [str(mobile) for chunk in chunks for mobile in chunk]
    for limit in range(1, 11):
        assert [found.to for found in await world.recipients(message, limit=limit)] == expected


async def test_the_recipients_of_an_unknown_message_are_none(world: World) -> None:
    unknown = "msg_" + "0" * 32
    assert await world.store.recipients(world.team.id, unknown, position=None, limit=10) is None
    assert await world.store.message(world.team.id, unknown) is None


@pytest.mark.parametrize("limit", [1, 2])
async def test_the_reports_of_a_recipient_are_its_own(world: World, limit: int) -> None:
    message = await world.accept(NUMBERS)
    await world.report(report(task_of(message), NUMBERS[0]), report(task_of(message), NUMBERS[1], "UNDELIV"))
    found = await world.recipients(message, limit=limit)
    assert [[view.status for view in recipient.reports] for recipient in found] == [["DELIVRD"], ["UNDELIV"]]
