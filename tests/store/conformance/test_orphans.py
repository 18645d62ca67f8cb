"""Orphans: each comes to its end once, by whichever way, and what it did is as if it had come for it at first."""

import asyncio
from typing import Any

import msgspec
import pytest

from relay.domain.audit import AuditFilter
from relay.domain.errors import AlreadySettled, BodyInvalid, NotFound
from relay.domain.ids import MessageId, OrphanId, SubmissionId, TeamId
from relay.domain.messages import InboundView
from relay.domain.orphans import OrphanReprocessed, OrphanResolution, OrphanView
from relay.domain.times import HOUR_MS, instant
from relay.ports import Replay, Telling, Told
from tests.store import builders
from tests.store.builders import ACCEPTED, NOW_MS, entry, idempotency, inbound, mobiles, report, work_of
from tests.store.conformance.world import World

NUMBERS = mobiles(2)
LATER_MS = NOW_MS + 100 * HOUR_MS


def telling(action: str = "orphan.assigned", key: str | None = None) -> Telling[Any]:
    """An entry, and the outcome as the answer."""
    return Telling(
        entry=lambda outcome: msgspec.structs.replace(entry(), action=action),
        answer=msgspec.json.encode,
        idempotency=None if key is None else idempotency("admin", key),
    )


async def _orphans(world: World, status: Any = None, **filters: Any) -> list[OrphanView]:
    wanted = {"kind": None, "account_id": None} | filters
    return (await world.store.orphans(status=status, position=None, limit=10, **wanted)).data


async def _orphan(world: World) -> OrphanView:
    (found,) = await _orphans(world)
    return found


async def _heard(world: World, team_id: TeamId | None = None) -> list[InboundView]:
    return (await world.store.inbound_list(team_id or world.team.id, position=None, limit=10)).data


async def _entries(world: World) -> list[str]:
    page = await world.store.audit(AuditFilter(action="orphan.*"), position=None, limit=10)
    return [found.action for found in page.data]


async def test_an_inbound_orphan_that_is_assigned_is_one_of_the_teams_and_told_now(world: World) -> None:
    endpoint = await world.endpoint()
    message = await world.accept([NUMBERS[0]], account_id=builders.account().id)
    assert await world.hear(inbound(NUMBERS[0], "谁", extension="99")) == {"orphaned": 1}
    orphan = await _orphan(world)

    told = await world.store.assign_inbound(orphan.id, world.team.id, now_ms=LATER_MS, telling=telling())

    (view,) = await _heard(world)
    assert (view.from_, view.text, view.to_extension, view.matched_by) == (str(NUMBERS[0]), "谁", "99", "assigned")
    assert (view.received_at, view.message_id) == (instant(NOW_MS), message.id)
    (event,) = await world.events()
    assert (event["type"], event["data"]["id"], event["timestamp"]) == (
        "inbound.received",
        view.id,
        "2026-11-22T15:06:40Z",
    )
    assert [work.event_id for work in await world.lease((endpoint, 5), now_ms=LATER_MS)] == [event["id"]]
    resolution = OrphanResolution(how="assigned", team_id=world.team.id, inbound_id=view.id, message_id=message.id)
    after = msgspec.structs.replace(orphan, status="resolved", resolved_at=instant(LATER_MS), resolution=resolution)
    assert isinstance(told, Told)
    assert (told.outcome, told.effects.events_by_type) == (after, {"inbound.received": 1})
    assert await world.store.orphan(orphan.id) == after
    assert await _entries(world) == ["orphan.assigned"]


async def test_a_report_is_assigned_to_the_recipient_of_its_number(world: World) -> None:
    message = await world.accept([NUMBERS[1]], [NUMBERS[0]])
    for index in range(2):
        await world.finish(work_of(message, index), ACCEPTED)
    await world.report(report("their own", NUMBERS[0]), report("their own", mobiles(1, 7)[0]))
    foreign, orphan = await _orphans(world)

    told = await world.store.assign_report(orphan.id, message.id, now_ms=LATER_MS, telling=telling())
    with pytest.raises(BodyInvalid) as refused:
        await world.store.assign_report(foreign.id, message.id, now_ms=LATER_MS, telling=telling())

    assert isinstance(told, Told)
    assert told.outcome.resolution == OrphanResolution(how="assigned", message_id=message.id, result="applied")
    assert await world.statuses(message) == {str(NUMBERS[0]): "delivered", str(NUMBERS[1]): "submitted"}
    assert [error.pointer for error in refused.value.errors] == ["/message_id"]
    assert await _orphans(world, "open") == [foreign]
    await world.check_books(message)


async def test_a_masked_report_is_assigned_to_a_submission_of_its_account_only(world: World) -> None:
    other = builders.account()
    message = await world.accept([NUMBERS[0]])
    elsewhere = await world.accept([NUMBERS[0]], account_id=other.id)
    for each in (message, elsewhere):
        await world.finish(work_of(each), ACCEPTED)
    await world.report(report("their own", NUMBERS[0], "UNDELIV", masked=True))
    orphan = await _orphan(world)
    wrong, right = (each.submissions[0].id for each in (elsewhere, message))

    for to in (wrong, SubmissionId(f"sub_{'0' * 32}"), MessageId(f"msg_{'0' * 32}")):
        with pytest.raises(BodyInvalid):
            await world.store.assign_report(orphan.id, to, now_ms=LATER_MS, telling=telling())
    await world.store.assign_report(orphan.id, right, now_ms=LATER_MS, telling=telling())

    assert await world.counts(message) == {"undelivered": 1}
    assert await world.counts(elsewhere) == {"submitted": 1}


async def test_each_kind_goes_where_it_belongs(world: World) -> None:
    message = await world.accept([NUMBERS[0]], account_id=builders.account().id)
    await world.hear(inbound(NUMBERS[1]))
    await world.report(report("their own", NUMBERS[0]))
    a_report, a_text = await _orphans(world, kind="report"), await _orphans(world, kind="mo")

    with pytest.raises(BodyInvalid):
        await world.store.assign_inbound(a_report[0].id, world.team.id, now_ms=NOW_MS, telling=telling())
    with pytest.raises(BodyInvalid):
        await world.store.assign_report(a_text[0].id, message.id, now_ms=NOW_MS, telling=telling())
    with pytest.raises(NotFound):
        await world.store.dismiss_orphan(OrphanId(f"orph_{'0' * 32}"), now_ms=NOW_MS, telling=telling())

    assert len(await _orphans(world, "open", account_id=world.account.id)) == 2
    assert await _orphans(world, "open", account_id=builders.account().id) == []
    assert await _entries(world) == []


async def test_an_orphan_comes_to_its_end_once_also_when_two_do_it_at_once(world: World) -> None:
    await world.hear(inbound(NUMBERS[0]))
    orphan = await _orphan(world)
    assign = world.store.assign_inbound(orphan.id, world.team.id, now_ms=NOW_MS, telling=telling())
    dismiss = world.store.dismiss_orphan(orphan.id, now_ms=NOW_MS, telling=telling("orphan.dismissed"))

    outcomes = await asyncio.gather(assign, dismiss, return_exceptions=True)

    (refused,) = (outcome for outcome in outcomes if isinstance(outcome, BaseException))
    assert isinstance(refused, AlreadySettled)
    assigned = isinstance(outcomes[0], Told)
    assert refused.detail.startswith(f"The orphan was {'assigned' if assigned else 'dismissed'} already")
    assert len(await _heard(world)) == len(await world.events()) == int(assigned)
    assert len(await _entries(world)) == 1
    with pytest.raises(AlreadySettled):
        await world.store.reprocess_orphan(orphan.id, now_ms=NOW_MS, telling=telling())


async def test_a_repeated_assignment_gets_the_first_answer(world: World) -> None:
    await world.hear(inbound(NUMBERS[0]))
    orphan = await _orphan(world)

    first, again = [
        await world.store.assign_inbound(orphan.id, world.team.id, now_ms=NOW_MS, telling=telling(key="once"))
        for _ in range(2)
    ]

    assert isinstance(first, Told)
    assert again == Replay(status=202, answer=first.answer)
    assert msgspec.json.decode(first.answer)["status"] == "resolved"
    assert len(await _heard(world)) == 1


async def test_what_is_known_by_now_matches_it_by_the_usual_rules_as_of_when_it_came(world: World) -> None:
    await world.hear(inbound(NUMBERS[0], extension="8801"))
    orphan = await _orphan(world)
    tried = await world.store.reprocess_orphan(orphan.id, now_ms=NOW_MS, telling=telling())
    team = builders.team(extensions=("8801",))
    await world.store.create_team(team, entry=entry(), idempotency=None)

    told = await world.store.reprocess_orphan(orphan.id, now_ms=LATER_MS, telling=telling())

    assert isinstance(tried, Told)
    assert tried.outcome == OrphanReprocessed(matched=False, orphan=orphan)
    (view,) = await _heard(world, team.id)
    assert (view.matched_by, view.received_at) == ("extension", instant(NOW_MS))
    assert isinstance(told, Told)
    assert told.outcome.matched
    assert told.outcome.orphan.resolution == OrphanResolution(how="matched", team_id=team.id, inbound_id=view.id)


async def test_a_report_finds_the_task_that_was_learned_since(world: World) -> None:
    message = await world.accept([NUMBERS[0]])
    await world.report(report("their own", NUMBERS[0]))
    orphan = await _orphan(world)
    tried = await world.store.reprocess_orphan(orphan.id, now_ms=NOW_MS, telling=telling())
    assert isinstance(tried, Told)
    assert not tried.outcome.matched
    await world.finish(work_of(message), msgspec.structs.replace(ACCEPTED, task_id="their own"))

    # By then it has been adopted: the same rules, without anybody asking.
    with pytest.raises(AlreadySettled, match="matched already"):
        await world.store.reprocess_orphan(orphan.id, now_ms=LATER_MS, telling=telling())
    assert await world.counts(message) == {"delivered": 1}


async def test_a_report_that_was_left_over_is_matched_when_asked_for(world: World, database: Any) -> None:
    message = await world.accept([NUMBERS[0]])
    await world.finish(work_of(message), msgspec.structs.replace(ACCEPTED, task_id="their own"))
    await world.report(report("lost", NUMBERS[0], masked=True))
    database.execute("UPDATE orphans SET task_id = 'their own'")

    told = await world.store.reprocess_orphan((await _orphan(world)).id, now_ms=LATER_MS, telling=telling())

    assert isinstance(told, Told)
    assert told.outcome.orphan.resolution == OrphanResolution(how="matched", message_id=message.id, result="applied")
    assert await world.counts(message) == {"delivered": 1}
    await world.check_books(message)


async def test_orphans_are_listed_newest_first_page_by_page(world: World) -> None:
    for number in range(3):
        await world.hear(inbound(NUMBERS[0], f"text {number}"))
    every = await _orphans(world)
    await world.store.dismiss_orphan(every[1].id, now_ms=NOW_MS, telling=telling())

    first = await world.store.orphans(kind="mo", account_id=None, status="open", position=None, limit=1)
    rest = await world.store.orphans(kind="mo", account_id=None, status="open", position=first.next_position, limit=1)

    assert [view.text for view in every] == ["text 2", "text 1", "text 0"]
    assert [view.text for page in (first, rest) for view in page.data] == ["text 2", "text 0"]
    assert rest.next_position is None
    assert [view.text for view in await _orphans(world, "resolved")] == ["text 1"]


async def test_an_erased_orphan_has_nothing_to_assign(world: World) -> None:
    await world.hear(inbound(NUMBERS[0], "private words"))
    await world.store.erase_number("orphans", NUMBERS[0], position=None, now_ms=NOW_MS, limit=10)
    orphan = await _orphan(world)

    assert (orphan.number, orphan.text, orphan.erased) == ("erased", "", True)
    with pytest.raises(AlreadySettled, match="erased"):
        await world.store.assign_inbound(orphan.id, world.team.id, now_ms=NOW_MS, telling=telling())
