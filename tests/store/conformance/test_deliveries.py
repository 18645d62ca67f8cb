"""Events on their way to endpoints: fan-out, leases, attempts, and endpoints that fail."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from relay.domain.delivery import judge
from relay.domain.endpoints import (
    AttemptOutcome,
    AttemptView,
    DeliveryDetail,
    DeliveryStatus,
    DeliveryView,
    DeliveryWork,
)
from relay.domain.events import EventType
from relay.domain.ids import AttemptId, EndpointId, EventId, TeamId
from relay.domain.retry import DELIVERY_SCHEDULE_MS
from relay.domain.times import DAY_MS, instant
from relay.ports import FinishedDelivery, NewEndpoint, QueueDepth
from relay.store.scripts.subscriptions import DISCARDED_AT_ONCE
from tests.store import builders
from tests.store.builders import (
    ACCEPTED,
    CLAIM,
    LEASE_MS,
    NOW_MS,
    OTHER_CLAIM,
    REFUSED,
    UNCONFIRMED,
    attempt_record,
    mobiles,
    work_of,
)
from tests.store.conformance.engines import Database
from tests.store.conformance.world import NO_EFFECTS, AllStraight, World

NUMBERS = mobiles(1)
ENDED_MS = NOW_MS + 5
RETRIED_MS = ENDED_MS + DELIVERY_SCHEDULE_MS[0]


async def _event(world: World, *, now_ms: int = NOW_MS) -> None:
    await world.finish(work_of(await world.accept(NUMBERS)), ACCEPTED, now_ms=now_ms)


async def _listed(
    world: World, *, endpoint: NewEndpoint | None = None, status: DeliveryStatus | None = None
) -> list[DeliveryView]:
    page = await world.store.deliveries(
        world.team.id,
        endpoint_id=None if endpoint is None else endpoint.view.id,
        event_id=None,
        status=status,
        position=None,
        limit=100,
    )
    return page.data


async def _finish(work: DeliveryWork, world: World, status: int | None, at_ms: int = NOW_MS) -> FinishedDelivery:
    return await world.store.finish_delivery(work, attempt_record(work, status, at_ms=at_ms))


# -- fan-out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_types", "extensions", "extension", "wanted"),
    [
        ([], [], None, 2),
        (["message.submitted"], [], None, 1),
        (["message.failed"], [], None, 1),
        (["message.*"], [], None, 2),
        (["inbound.*", "endpoint.disabled"], [], None, 0),
        ([], ["88"], "88", 2),
        ([], ["88"], "8", 0),
        ([], ["88"], None, 0),
        (["message.failed"], ["88", "99"], "99", 1),
    ],
)
async def test_an_endpoint_gets_only_what_it_wants(
    world: World, event_types: list[str], extensions: list[str], extension: str | None, wanted: int
) -> None:
    new = await world.endpoint(event_types=event_types, extensions=extensions)
    await world.finish(work_of(await world.accept(NUMBERS, extension=extension)), ACCEPTED)
    await world.finish(work_of(await world.accept(NUMBERS, extension=extension)), REFUSED)
    assert len(await world.lease((new, 10))) == wanted


async def test_an_endpoint_of_another_team_gets_nothing(world: World) -> None:
    theirs = await world.endpoint(team_id=TeamId(builders.new_id("team_")))
    await _event(world)
    assert await world.lease((theirs, 10)) == []
    assert await world.store.due_endpoints(NOW_MS) == []


async def test_a_delivery_carries_exactly_the_stored_bytes(world: World) -> None:
    first, second = await world.endpoint(), await world.endpoint()
    await _event(world)
    payload = (await world.store.events(world.team.id, position=None, limit=1, event_types=())).data[0]
    event_id = EventId(msgspec.json.decode(payload)["id"])
    works = await world.lease((first, 10), (second, 10))
    assert works == [
        DeliveryWork(
            id=work.id,
            endpoint_id=new.view.id,
            event_id=event_id,
            event_type="message.submitted",
            payload=payload,
            attempt=1,
            claim=CLAIM,
            lease_until_ms=NOW_MS + LEASE_MS,
            event_created_ms=NOW_MS,
        )
        for work, new in zip(works, (first, second), strict=True)
    ]
    assert await world.store.event(world.team.id, event_id) == payload


async def test_an_endpoint_made_later_gets_only_later_events(world: World) -> None:
    await _event(world)
    new = await world.endpoint()
    assert await world.lease((new, 10)) == []
    await _event(world)
    assert len(await world.lease((new, 10))) == 1


# -- straight to the worker of this process --------------------------------------------------------------------------


@pytest.fixture
def straight() -> AllStraight:
    return AllStraight()


@pytest.fixture
async def straight_world(database: Database, straight: AllStraight) -> AsyncIterator[World]:
    async with database.open(straight) as store:
        world = World(store)
        await world.start()
        yield world


async def test_what_this_process_takes_is_stored_as_leased_to_it(straight_world: World, straight: AllStraight) -> None:
    taken, left = await straight_world.endpoint(), await straight_world.endpoint()
    straight.endpoints.add(taken.view.id)
    finished = await straight_world.finish(work_of(await straight_world.accept(NUMBERS)), ACCEPTED)
    (work,) = finished.effects.deliveries
    assert (work.endpoint_id, work.claim, work.attempt) == (taken.view.id, straight.claim, 1)
    assert work.lease_until_ms == NOW_MS + LEASE_MS
    assert [found.endpoint_id for found in await straight_world.lease((taken, 10), (left, 10))] == [left.view.id]
    assert not (await straight_world.store.finish_delivery(work, attempt_record(work, 200))).fenced


async def test_a_paused_or_disabled_endpoint_takes_nothing_straight(
    straight_world: World, straight: AllStraight
) -> None:
    paused, gone = await straight_world.endpoint(), await straight_world.endpoint()
    await _event(straight_world)
    first, second = await straight_world.lease((paused, 1), (gone, 1))
    record = attempt_record(first, 503, retry_after_s=60.0)
    await straight_world.store.finish_delivery(first, record)
    await straight_world.store.finish_delivery(second, attempt_record(second, 410))
    straight.endpoints |= {paused.view.id, gone.view.id}
    finished = await straight_world.finish(work_of(await straight_world.accept(NUMBERS)), ACCEPTED)
    assert finished.effects.deliveries == ()
    assert len(await _listed(straight_world, status="pending")) == 5


async def test_a_pause_ends_for_straight_work_too(straight_world: World, straight: AllStraight) -> None:
    new = await straight_world.endpoint()
    await _event(straight_world)
    (work,) = await straight_world.lease((new, 1))
    record = attempt_record(work, 429, retry_after_s=60.0)
    await straight_world.store.finish_delivery(work, record)
    straight.endpoints.add(new.view.id)
    later = await straight_world.finish(
        work_of(await straight_world.accept(NUMBERS)), ACCEPTED, now_ms=record.pause_until_ms or 0
    )
    assert len(later.effects.deliveries) == 1


async def test_recovery_leaves_no_delivery_leased_to_a_dead_process(
    straight_world: World, straight: AllStraight
) -> None:
    new = await straight_world.endpoint()
    straight.endpoints.add(new.view.id)
    await straight_world.accept(NUMBERS, on_unconfirmed="fail")
    await _event(straight_world)
    await straight_world.store.recover(NOW_MS)
    assert [work.event_type for work in await straight_world.lease((new, 10))] == [
        "message.submitted",
        "message.failed",
    ]


# -- leases ----------------------------------------------------------------------------------------------------------


async def test_each_endpoint_is_claimed_up_to_its_room_oldest_first(world: World) -> None:
    first, second = await world.endpoint(), await world.endpoint()
    for offset in (0, 2, 1):
        await _event(world, now_ms=NOW_MS - 10 + offset)
    works = await world.lease((first, 2), (second, 5))
    assert [(work.endpoint_id, work.event_created_ms - NOW_MS) for work in works] == [
        (first.view.id, -10),
        (first.view.id, -9),
        *((second.view.id, offset) for offset in (-10, -9, -8)),
    ]
    assert [work.event_created_ms - NOW_MS for work in await world.lease((first, 5), (second, 5))] == [-8]


async def test_a_lease_that_ended_is_claimed_again_and_the_late_finish_is_fenced(world: World) -> None:
    new = await world.endpoint()
    await _event(world)
    (work,) = await world.lease((new, 1))
    assert await world.lease((new, 1), now_ms=NOW_MS + LEASE_MS - 1) == []
    (again,) = await world.lease((new, 1), now_ms=NOW_MS + LEASE_MS, claim=OTHER_CLAIM)
    assert (again.id, again.attempt, again.claim) == (work.id, 1, OTHER_CLAIM)
    assert await _finish(work, world, 200) == FinishedDelivery(fenced=True, disabled=False, effects=NO_EFFECTS)
    assert (await world.store.delivery(world.team.id, work.id) or _none()).attempts == []
    assert not (await _finish(again, world, 200)).fenced
    assert (await _finish(again, world, 200)).fenced


async def test_a_lease_that_is_given_back_is_due_at_once_and_cannot_be_finished(world: World) -> None:
    new = await world.endpoint()
    await _event(world)
    (work,) = await world.lease((new, 1))
    await world.store.release_deliveries([work])
    assert (await _finish(work, world, 200)).fenced
    (again,) = await world.lease((new, 1), claim=OTHER_CLAIM)
    await world.store.release_deliveries([work])
    assert (again.id, again.attempt) == (work.id, 1)
    assert not (await _finish(again, world, 200)).fenced


async def test_leases_are_given_back_together_each_only_to_its_own_claim(world: World) -> None:
    new = await world.endpoint()
    for _ in range(3):
        await _event(world)
    mine = await world.lease((new, 2))
    (theirs,) = await world.lease((new, 1), claim=OTHER_CLAIM)
    stale = msgspec.structs.replace(theirs, claim=CLAIM)

    await world.store.release_deliveries([*mine, stale])

    again = await world.lease((new, 10))
    assert [(work.id, work.attempt) for work in again] == [(work.id, 1) for work in mine]
    assert not (await _finish(theirs, world, 200)).fenced


def _none() -> DeliveryDetail:
    raise AssertionError("there is no such delivery")


async def test_an_endpoint_whose_only_lease_ended_is_due(world: World) -> None:
    new = await world.endpoint()
    await _event(world)
    await world.lease((new, 1))
    lapse_ms = NOW_MS + LEASE_MS
    assert await world.store.due_endpoints(lapse_ms - 1) == []
    assert await world.store.next_delivery_due_ms(lapse_ms - 1) == lapse_ms
    assert await world.store.due_endpoints(lapse_ms) == [new.view.id]
    assert await world.store.next_delivery_due_ms(lapse_ms) is None


async def test_a_lease_that_ended_at_a_disabled_endpoint_wakes_nobody(world: World) -> None:
    new = await world.endpoint()
    await _event(world)
    await _event(world)
    first, _ = await world.lease((new, 2))
    await _finish(first, world, 410)
    assert await world.store.due_endpoints(NOW_MS + LEASE_MS) == []
    assert await world.store.next_delivery_due_ms(NOW_MS + LEASE_MS) is None


# -- attempts --------------------------------------------------------------------------------------------------------


async def test_a_delivered_delivery_is_history_with_its_attempt(world: World) -> None:
    new = await world.endpoint()
    await _event(world)
    (work,) = await world.lease((new, 1))
    assert await _finish(work, world, 204) == FinishedDelivery(fenced=False, disabled=False, effects=NO_EFFECTS)
    detail = await world.store.delivery(world.team.id, work.id) or _none()
    assert detail == DeliveryDetail(
        id=work.id,
        endpoint_id=new.view.id,
        event_id=work.event_id,
        event_type="message.submitted",
        status="delivered",
        attempt_count=1,
        next_attempt_at=None,
        created_at=instant(NOW_MS),
        finished_at=instant(ENDED_MS),
        attempts=[_attempt(detail.attempts[0].id, 1, 204, "delivered")],
    )
    assert await world.lease((new, 1), now_ms=NOW_MS + DAY_MS) == []


def _attempt(
    attempt_id: AttemptId, number: int, status: int | None, outcome: AttemptOutcome, at_ms: int = NOW_MS
) -> AttemptView:
    return AttemptView(
        id=attempt_id,
        number=number,
        at=instant(at_ms),
        duration_ms=5,
        status=status,
        error="connect" if status is None else None if status < 300 else "status",
        outcome=outcome,
        answer="" if status is None else "answer",
    )


async def test_a_failed_attempt_is_due_again_on_the_schedule(world: World) -> None:
    new = await world.endpoint()
    await _event(world)
    (work,) = await world.lease((new, 1))
    await _finish(work, world, None)
    detail = await world.store.delivery(world.team.id, work.id) or _none()
    assert (detail.status, detail.attempt_count, detail.next_attempt_at) == ("pending", 1, instant(RETRIED_MS))
    assert detail.attempts == [_attempt(detail.attempts[0].id, 1, None, "retry")]
    assert await world.store.next_delivery_due_ms(NOW_MS) == RETRIED_MS
    assert await world.store.due_endpoints(RETRIED_MS - 1) == []
    assert await world.store.due_endpoints(RETRIED_MS) == [new.view.id]
    (again,) = await world.lease((new, 1), now_ms=RETRIED_MS)
    assert (again.id, again.attempt) == (work.id, 2)


async def test_a_delivery_is_exhausted_after_its_last_attempt(world: World) -> None:
    new = await world.endpoint()
    await _event(world)
    now_ms = NOW_MS
    while works := await world.lease((new, 1), now_ms=now_ms):
        (work,) = works
        record = attempt_record(work, 500, at_ms=now_ms)
        await world.store.finish_delivery(work, record)
        now_ms = record.next_due_ms or now_ms
    detail = await world.store.delivery(world.team.id, work.id) or _none()
    assert (detail.status, detail.attempt_count, detail.next_attempt_at) == ("exhausted", 13, None)
    assert [attempt.outcome for attempt in detail.attempts] == ["retry"] * 12 + ["exhausted"]
    assert [view.id for view in await _listed(world, status="exhausted")] == [work.id]


async def test_the_depth_of_the_queue_counts_what_nobody_has_leased(world: World) -> None:
    new = await world.endpoint()
    for _ in range(3):
        await _event(world)
    await world.lease((new, 1))
    assert (await world.store.queue_depths(NOW_MS + 2000))[1] == QueueDepth(
        queue="deliveries", depth=2, oldest_due_age_s=2.0
    )


# -- endpoints that fail ---------------------------------------------------------------------------------------------


async def test_410_switches_the_endpoint_off_and_tells_the_others_once(world: World) -> None:
    gone, other = await world.endpoint(), await world.endpoint(event_types=["endpoint.disabled"])
    for _ in range(2):
        await _event(world)
    first, second = await world.lease((gone, 2))
    finished = await _finish(first, world, 410)
    event_types: dict[EventType, int] = {"endpoint.disabled": 1}
    assert (finished.disabled, finished.effects.events_by_type) == (True, event_types)
    assert not (await _finish(second, world, 410)).disabled
    view = await world.store.endpoint_view(world.team.id, gone.view.id)
    assert view == msgspec.structs.replace(gone.view, status="disabled", disabled_reason="gone")
    (told,) = await world.lease((other, 10), now_ms=ENDED_MS)
    assert msgspec.json.decode(told.payload)["data"] == {
        "endpoint_id": gone.view.id,
        "reason": "gone",
        "failing_since": None,
    }
    assert await world.store.due_endpoints(NOW_MS + DAY_MS) == [other.view.id]
    assert [found.status for found in await _listed(world, endpoint=gone)] == ["pending", "pending"]


async def test_five_days_of_failures_switch_the_endpoint_off(world: World) -> None:
    new = await world.endpoint()
    for _ in range(3):
        await _event(world)
    works = await world.lease((new, 3))
    last_ms = NOW_MS + 5 * DAY_MS
    disabled = [
        (await _finish(work, world, 500, at_ms)).disabled
        for work, at_ms in zip(works, (NOW_MS, last_ms - 1, last_ms), strict=True)
    ]
    assert disabled == [False, False, True]
    assert (await world.events())[-1]["data"] == {
        "endpoint_id": new.view.id,
        "reason": "failing",
        "failing_since": "2026-11-18T11:06:40Z",
    }
    endpoint = await world.store.load_endpoint(new.view.id)
    assert endpoint is not None
    assert endpoint.status == "disabled"


async def test_one_success_begins_the_five_days_anew(world: World) -> None:
    new = await world.endpoint()
    for _ in range(4):
        await _event(world)
    works = await world.lease((new, 4))
    late_ms = NOW_MS + 5 * DAY_MS
    disabled = [
        (await _finish(work, world, status, at_ms)).disabled
        for work, (status, at_ms) in zip(
            works, ((500, NOW_MS), (200, NOW_MS + DAY_MS), (500, late_ms), (500, late_ms + 1)), strict=True
        )
    ]
    assert disabled == [False] * 4


async def test_a_pause_holds_back_the_whole_endpoint_and_no_other(world: World) -> None:
    paused, other = await world.endpoint(), await world.endpoint()
    for _ in range(2):
        await _event(world)
    (work,) = await world.lease((paused, 1))
    await world.store.finish_delivery(work, attempt_record(work, 503, retry_after_s=60.0))
    until_ms = ENDED_MS + 60_000
    assert judge(503, 60.0, attempt=1, now_ms=ENDED_MS, jitter=0.0).pause_until_ms == until_ms
    assert await world.store.due_endpoints(until_ms - 1) == [other.view.id]
    assert await world.store.next_delivery_due_ms(NOW_MS) == until_ms
    assert await world.store.due_endpoints(until_ms) == [paused.view.id, other.view.id]
    view = await world.store.endpoint_view(world.team.id, paused.view.id)
    assert view == msgspec.structs.replace(paused.view, paused_until=instant(until_ms))


async def test_the_next_due_time_is_that_of_what_is_not_due_yet(world: World) -> None:
    new = await world.endpoint()
    for _ in range(2):
        await _event(world)
    assert await world.store.next_delivery_due_ms(NOW_MS) is None
    (work,) = await world.lease((new, 1))
    await _finish(work, world, 500)
    assert await world.store.next_delivery_due_ms(NOW_MS) == RETRIED_MS
    assert await world.store.next_delivery_due_ms(RETRIED_MS) is None


# -- reading ---------------------------------------------------------------------------------------------------------


async def test_a_deleted_endpoint_is_gone_and_its_deliveries_are_discarded(world: World) -> None:
    new = await world.endpoint()
    for _ in range(3):
        await _event(world)
    done, leased = await world.lease((new, 2))
    await _finish(done, world, 200)
    assert await world.store.delete_endpoint(world.team.id, new.view.id, NOW_MS + 9)
    assert not await world.store.delete_endpoint(world.team.id, new.view.id, NOW_MS + 10)
    assert await world.store.endpoint_view(world.team.id, new.view.id) is None
    assert await world.store.load_endpoint(new.view.id) is None
    assert [(view.status, view.finished_at) for view in await _listed(world)] == [
        ("discarded", instant(NOW_MS + 9)),
        ("discarded", instant(NOW_MS + 9)),
        ("delivered", instant(ENDED_MS)),
    ]
    assert (await _finish(leased, world, 200)).fenced
    await _event(world)
    assert await world.store.due_endpoints(NOW_MS + DAY_MS) == []
    assert len(await _listed(world)) == 3


async def test_more_deliveries_than_one_commit_discards_are_discarded_by_sweeps(
    world: World, database: Database
) -> None:
    new = await world.endpoint()
    chunks = [mobiles(1, first) for first in range(DISCARDED_AT_ONCE + 1)]
    message = await world.accept(*chunks, status="queued")
    await world.sweep(message.expires_ms, limit=len(chunks))

    await world.store.delete_endpoint(world.team.id, new.view.id, message.expires_ms)
    assert database.execute("SELECT COUNT(*) FROM deliveries") == [(1,)]
    assert not (await world.sweep(message.expires_ms)).more
    assert database.execute("SELECT COUNT(*) FROM deliveries") == [(0,)]
    ended = database.execute("SELECT status, COUNT(*) FROM delivery_history GROUP BY status")
    assert ended == [("discarded", len(chunks))]


async def test_deliveries_are_listed_newest_first_by_endpoint_event_and_status(world: World) -> None:
    first, second = await world.endpoint(), await world.endpoint()
    for _ in range(2):
        await _event(world)
    (work,) = await world.lease((first, 1))
    await _finish(work, world, 200)
    everything = await _listed(world)
    ids = [view.id for view in everything]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 4
    assert [view.id for view in await _listed(world, status="delivered")] == [work.id]
    assert [view.id for view in await _listed(world, status="pending")] == [own for own in ids if own != work.id]
    assert {view.endpoint_id for view in await _listed(world, endpoint=second)} == {second.view.id}
    of_event = await world.store.deliveries(
        world.team.id, endpoint_id=None, event_id=work.event_id, status=None, position=None, limit=10
    )
    assert [view.id for view in of_event.data] == [view.id for view in everything if view.event_id == work.event_id]
    pages: list[list[str]] = []
    position: str | None = None
    while not pages or position is not None:
        page = await world.store.deliveries(
            world.team.id, endpoint_id=None, event_id=None, status=None, position=position, limit=3
        )
        pages.append([view.id for view in page.data])
        position = page.next_position
    assert pages == [ids[:3], ids[3:]]


async def test_an_unknown_delivery_is_none(world: World) -> None:
    assert await world.store.delivery(world.team.id, "dlv_" + "0" * 32) is None
    assert await world.store.load_endpoint(EndpointId("ep_" + "0" * 32)) is None


async def test_what_changes_no_status_delivers_nothing(world: World) -> None:
    new = await world.endpoint()
    await world.finish(work_of(await world.accept(NUMBERS)), UNCONFIRMED)
    assert await world.lease((new, 10)) == []
