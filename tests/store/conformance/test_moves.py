"""Submissions that change their account: only what was provably not sent, once, and under the same taskId."""

from relay.domain.ids import AccountId, SubmissionId
from relay.domain.messages import MessageDraft
from relay.domain.times import MINUTE_MS
from relay.ports import Stranded
from tests.store import builders
from tests.store.builders import (
    ACCEPTED,
    NOT_SENT,
    NOW_MS,
    OTHER_CLAIM,
    UNCONFIRMED,
    mobiles,
    report,
    task_of,
    work_of,
)
from tests.store.conformance.world import World

OTHER = builders.account().id
NUMBERS = mobiles(2)


async def _stranded(world: World, *, skip: int = 0, limit: int = 10) -> list[SubmissionId]:
    return [one.id for one in await world.store.stranded(world.account.id, "notice", NOW_MS, skip=skip, limit=limit)]


async def _move(world: World, message: MessageDraft, to: AccountId = OTHER) -> list[tuple[SubmissionId, AccountId]]:
    """Every submission of the message, if it may."""
    return await world.store.move_submissions(world.account.id, [(part.id, to) for part in message.submissions])


async def test_what_was_not_sent_goes_out_over_another_account_under_the_same_task_id(world: World) -> None:
    message = await world.accept(NUMBERS)

    finished = await world.finish(work_of(message), NOT_SENT, retry_due_ms=NOW_MS, move_to=OTHER)

    assert (finished.status, finished.moved_to, finished.retry_due_ms) == ("queued", OTHER, NOW_MS)
    assert await world.claim() == []
    (work,) = await world.claim(account_id=OTHER, claim=OTHER_CLAIM)
    assert (work.id, work.account_id, work.attempt) == (message.submissions[0].id, OTHER, 2)
    await world.finish(work, ACCEPTED)
    (view,) = (await world.view(message)).submissions
    assert (view.account_id, view.task_id, view.status) == (OTHER, task_of(message), "submitted")
    await world.check_books(message)


async def test_nobody_moves_what_is_not_theirs_any_more(world: World) -> None:
    message = await world.accept(NUMBERS)

    finished = await world.finish(work_of(message, claim=OTHER_CLAIM), NOT_SENT, move_to=OTHER)

    assert (finished.fenced, finished.moved_to) == (True, None)
    assert (await world.view(message)).submissions[0].account_id == world.account.id


async def test_what_may_have_arrived_goes_out_over_no_other_account(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    first = await world.finish(work_of(message), UNCONFIRMED, retry_due_ms=NOW_MS, move_to=OTHER)
    assert (first.status, first.moved_to) == ("queued", None)
    assert await _stranded(world) == []
    assert await _move(world, message) == []

    (work,) = await world.claim(claim=OTHER_CLAIM)
    second = await world.finish(work, NOT_SENT, retry_due_ms=NOW_MS, move_to=OTHER)

    assert (second.status, second.moved_to) == ("queued", None)
    assert await world.claim(account_id=OTHER) == []
    assert [again.id for again in await world.claim()] == [work.id]


async def test_a_report_from_the_account_before_proves_that_it_arrived(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), NOT_SENT, retry_due_ms=NOW_MS, move_to=OTHER)

    received = await world.report(report(task_of(message), NUMBERS[0]), account_id=world.account.id)

    assert received.results == {"applied": 1}
    assert await world.counts(message) == {"submitted": 1, "delivered": 1}
    assert await world.claim(account_id=OTHER) == []
    assert await world.store.move_submissions(OTHER, [(message.submissions[0].id, world.account.id)]) == []
    await world.check_books(message)


async def test_so_does_one_that_comes_while_the_next_account_sends_it(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), NOT_SENT, retry_due_ms=NOW_MS, move_to=OTHER)
    (work,) = await world.claim(account_id=OTHER, claim=OTHER_CLAIM)
    await world.report(report(task_of(message), NUMBERS[0]), account_id=world.account.id)

    finished = await world.finish(work, NOT_SENT, retry_due_ms=NOW_MS, move_to=world.account.id)

    assert (finished.status, finished.moved_to) == ("submitted", None)
    assert await world.claim() == []
    await world.check_books(message)


async def test_what_is_due_at_an_account_is_found_in_order_and_in_batches(world: World) -> None:
    made = [await world.accept(mobiles(1), status="queued", due_ms=NOW_MS - 10 + place) for place in range(3)]
    await world.accept(mobiles(1), status="queued", category="otp")
    await world.accept(mobiles(1), status="scheduled", due_ms=NOW_MS + 1)
    await world.accept(mobiles(1), status="queued", account_id=OTHER)
    await world.accept(mobiles(1), status="submitting")
    await world.accept(mobiles(1), status="queued", created_ms=NOW_MS - MINUTE_MS, expires_ms=NOW_MS)
    ids = [message.submissions[0].id for message in made]

    assert await _stranded(world) == ids
    assert await _stranded(world, limit=2) == ids[:2]
    assert await _stranded(world, skip=2) == ids[2:]
    assert await world.store.stranded(world.account.id, "notice", NOW_MS, skip=0, limit=1) == [
        Stranded(id=ids[0], message_id=made[0].id, team_id=world.team.id, numbers=1, extension=None)
    ]
    # With the urgent one, and the one whose time is over.
    assert await world.store.waiting_on(world.account.id, NOW_MS) == 5


async def test_a_submission_is_moved_by_the_first_who_does_it_and_by_nobody_once_it_was_claimed(world: World) -> None:
    message = await world.accept(mobiles(1), mobiles(1, 1), status="queued")
    (work,) = await world.claim(1)
    (waiting,) = [part.id for part in message.submissions if part.id != work.id]

    assert await _move(world, message) == [(waiting, OTHER)]
    assert await _move(world, message, to=builders.account().id) == []

    assert await world.counts(message) == {"submitting": 1, "queued": 1}
    assert [moved.id for moved in await world.claim(account_id=OTHER)] == [waiting]
    await world.check_books(message)


async def test_a_scheduled_submission_that_is_due_moves_as_it_is(world: World) -> None:
    message = await world.accept(mobiles(1), status="scheduled", due_ms=NOW_MS)

    await _move(world, message)

    assert await world.counts(message) == {"scheduled": 1}
    assert len(await world.claim(account_id=OTHER)) == 1


async def test_what_was_not_sent_is_seen_to_wait_for_an_account_until_one_takes_it(world: World) -> None:
    async def waiting_for(message: MessageDraft) -> str | None:
        return (await world.view(message)).submissions[0].waiting_for

    fresh = await world.accept(mobiles(1), status="queued")
    message = await world.accept(mobiles(1, 1))
    resent = await world.accept(mobiles(1, 2), on_unconfirmed="resend")
    assert [await waiting_for(one) for one in (fresh, message)] == [None, None]

    await world.finish(work_of(message), NOT_SENT, move_to=OTHER)
    await world.finish(work_of(resent), UNCONFIRMED)
    assert [await waiting_for(one) for one in (message, resent)] == ["account", None]

    (work,) = await world.claim(account_id=OTHER, now_ms=NOW_MS + MINUTE_MS, claim=OTHER_CLAIM)
    await world.finish(work, ACCEPTED)
    assert await waiting_for(message) is None
