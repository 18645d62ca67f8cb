"""Polling events."""

import asyncio

import msgspec

from relay.domain.ids import TeamId
from relay.domain.messages import MessageDraft
from tests.store import builders
from tests.store.builders import ACCEPTED, REFUSED, inbound, mobiles, report, task_of, work_of
from tests.store.conformance.world import World

NUMBERS = mobiles(1)


async def _submit(world: World, count: int = 1, *, team_id: TeamId | None = None) -> None:
    for _ in range(count):
        await world.finish(work_of(await world.accept(NUMBERS, team_id=team_id)), ACCEPTED)


async def _poll(
    world: World, position: str | None, limit: int, *event_types: str, team_id: TeamId | None = None
) -> tuple[list[str], str]:
    page = await world.store.events(team_id or world.team.id, position=position, limit=limit, event_types=event_types)
    assert page.next_position is not None
    return [msgspec.json.decode(payload)["id"] for payload in page.data], page.next_position


async def test_a_poller_sees_each_event_once_in_commit_order(world: World) -> None:
    await _submit(world, 5)
    everything = [event["id"] for event in await world.events()]
    assert everything == sorted(everything)
    seen: list[str] = []
    position: str | None = None
    for expected in (2, 2, 1, 0, 0):
        ids, position = await _poll(world, position, 2)
        assert len(ids) == expected
        seen += ids
    assert seen == everything
    await _submit(world)
    ids, _ = await _poll(world, position, 2)
    assert ids == [(await world.events())[-1]["id"]]


async def test_a_poller_that_starts_before_the_first_event_misses_none(world: World) -> None:
    ids, position = await _poll(world, None, 10)
    assert ids == []
    await _submit(world)
    assert len((await _poll(world, position, 10))[0]) == 1


async def test_a_position_behind_the_newest_event_stays_where_it_is(world: World) -> None:
    await _submit(world, 2)
    _, position = await _poll(world, None, 10)
    assert (await _poll(world, position, 10)) == ([], position)
    assert (await _poll(world, position, 10, "message.delivered")) == ([], position)


async def test_a_filter_shows_its_types_only_and_moves_on_over_the_others(world: World) -> None:
    await _submit(world, 2)
    await world.finish(work_of(await world.accept(NUMBERS)), REFUSED)
    await world.hear(inbound(NUMBERS[0]))
    await _submit(world, 3)
    types = [(event["id"], event["type"]) for event in await world.events()]
    wanted = [own for own, event_type in types if event_type in ("message.failed", "inbound.received")]
    ids, position = await _poll(world, None, 1, "message.failed", "inbound.received")
    assert ids == wanted[:1]
    ids, position = await _poll(world, position, 10, "message.failed", "inbound.received")
    assert ids == wanted[1:]
    assert await _poll(world, position, 10) == ([], position)


async def test_a_full_page_of_a_filter_skips_nothing_behind_it(world: World) -> None:
    await _submit(world, 4)
    seen: list[str] = []
    position: str | None = None
    for _ in range(3):
        ids, position = await _poll(world, position, 2, "message.submitted")
        seen += ids
    assert seen == [event["id"] for event in await world.events()]


async def test_the_events_of_other_teams_do_not_exist(world: World) -> None:
    other = TeamId(builders.new_id("team_"))
    await _submit(world)
    await _submit(world, team_id=other)
    await _submit(world)
    own = [event["id"] for event in await world.events()]
    theirs = [event["id"] for event in await world.events(other)]
    assert (len(own), len(theirs)) == (2, 1)
    assert (await _poll(world, None, 10))[0] == own
    assert (await _poll(world, None, 10, "message.submitted", team_id=other))[0] == theirs
    assert await world.store.event(world.team.id, theirs[0]) is None


async def test_a_poller_beside_many_writers_sees_each_event_once(world: World) -> None:
    messages = await asyncio.gather(*(world.accept(NUMBERS) for _ in range(60)))
    seen: list[str] = []

    async def poll() -> None:
        position: str | None = None
        while len(seen) < 120:
            ids, position = await _poll(world, position, 7)
            seen.extend(ids)

    async def send(message: MessageDraft) -> None:
        await world.finish(work_of(message), ACCEPTED)
        await world.report(report(task_of(message), NUMBERS[0]))

    await asyncio.gather(poll(), *(send(message) for message in messages))
    assert seen == [event["id"] for event in await world.events()]
