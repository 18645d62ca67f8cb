"""Claiming submissions, storing what became of them, and ending what waited too long."""

import pytest

from relay.domain.ids import SubmissionId
from relay.domain.messages import SubmissionView
from relay.domain.provider import Accepted, NotSent, SendOutcome
from relay.domain.states import Category, OnUnconfirmed, RecipientStatus
from relay.domain.times import MINUTE_MS, SECOND_MS, instant
from relay.ports import FinishedSubmission, QueueDepth, StoredEffects, Swept
from tests.store import builders
from tests.store.builders import (
    ACCEPTED,
    CLAIM,
    LEASE_MS,
    NOT_SENT,
    NOW_MS,
    OTHER_CLAIM,
    REFUSED,
    UNCONFIRMED,
    mobiles,
    report,
    task_of,
    work_of,
)
from tests.store.conformance.world import NO_EFFECTS, NO_REPORT_AFTER_MS, RETRY_MS, TOLD_AFTER_MS, World

NUMBERS = mobiles(2)
FIRST, SECOND = (str(mobile) for mobile in NUMBERS)


def _effects(status: RecipientStatus, count: int, **events: int) -> StoredEffects:
    by_type = {name.replace("_", ".", 1): number for name, number in events.items()}
    return StoredEffects(
        deliveries=(),
        recipients_by_status={status: count},
        segments_by_status={status: count},
        events_by_type=by_type,  # type: ignore[arg-type] # the names are those of events
    )


# -- claiming --------------------------------------------------------------------------------------------------------


async def test_urgent_categories_are_claimed_first_and_then_the_oldest(world: World) -> None:
    order: list[tuple[Category, int]] = [("marketing", 0), ("notice", 2), ("notice", 1), ("otp", 3), ("marketing", 1)]
    made = [
        await world.accept(mobiles(1), status="queued", category=category, due_ms=NOW_MS - 10 + due)
        for category, due in order
    ]
    assert [work.message_id for work in await world.claim()] == [made[index].id for index in (3, 2, 1, 0, 4)]


async def test_a_claimed_submission_is_all_that_is_needed_to_send_it(world: World) -> None:
    message = await world.accept([13800130002, 13800130001], status="queued", extension="88", on_unconfirmed="resend")
    assert await world.claim(claim=OTHER_CLAIM) == [work_of(message, claim=OTHER_CLAIM)]
    assert await world.counts(message) == {"submitting": 2}


async def test_no_more_is_claimed_than_asked_for(world: World) -> None:
    for category in ("otp", "notice", "marketing"):
        await world.accept(mobiles(1), status="queued", category=category)
    assert [work.category for work in await world.claim(2)] == ["otp", "notice"]
    assert [work.category for work in await world.claim(2)] == ["marketing"]


async def test_what_is_claimed_is_not_claimed_again(world: World) -> None:
    await world.accept(mobiles(1), status="queued")
    assert len(await world.claim()) == 1
    assert await world.claim(claim=OTHER_CLAIM, now_ms=NOW_MS + LEASE_MS + 1) == []


async def test_only_the_submissions_of_the_account_are_claimed(world: World) -> None:
    other = builders.account().id
    message = await world.accept(mobiles(1), status="queued", account_id=other)
    assert await world.claim() == []
    assert await world.store.next_submission_due_ms(world.account.id) is None
    assert [work.message_id for work in await world.claim(account_id=other)] == [message.id]


async def test_a_scheduled_submission_is_claimed_only_when_it_is_due(world: World) -> None:
    message = await world.accept(mobiles(1), status="scheduled", due_ms=NOW_MS + MINUTE_MS)
    assert await world.claim(now_ms=NOW_MS + MINUTE_MS - 1) == []
    assert await world.store.next_submission_due_ms(world.account.id) == NOW_MS + MINUTE_MS
    assert [work.message_id for work in await world.claim(now_ms=NOW_MS + MINUTE_MS)] == [message.id]
    assert await world.store.next_submission_due_ms(world.account.id) is None
    assert await world.counts(message) == {"submitting": 1}


async def test_an_expired_submission_is_not_claimed(world: World) -> None:
    message = await world.accept(mobiles(1), status="queued")
    assert await world.claim(now_ms=message.expires_ms) == []
    assert len(await world.claim(now_ms=message.expires_ms - 1)) == 1


async def test_the_depth_of_the_queue_counts_what_is_due(world: World) -> None:
    await world.accept(mobiles(1), mobiles(1, 1), status="queued", due_ms=NOW_MS - 3000)
    await world.accept(mobiles(1), status="scheduled", due_ms=NOW_MS + 1)
    assert await world.store.queue_depths(NOW_MS) == [
        QueueDepth(queue="submissions", depth=2, oldest_due_age_s=3.0),
        QueueDepth(queue="deliveries", depth=0, oldest_due_age_s=0.0),
        QueueDepth(queue="raw", depth=0, oldest_due_age_s=0.0),
    ]


# -- outcomes --------------------------------------------------------------------------------------------------------


async def test_an_accepted_submission_is_submitted_and_told(world: World) -> None:
    message = await world.accept(NUMBERS)
    assert await world.finish(work_of(message), ACCEPTED) == FinishedSubmission(
        fenced=False,
        status="submitted",
        message_id=message.id,
        retry_due_ms=None,
        effects=_effects("submitted", 2, message_submitted=1),
    )
    assert await world.told(message) == [
        ("message.submitted", 1, [(FIRST, "submitted", None, None), (SECOND, "submitted", None, None)])
    ]
    view = await world.view(message)
    assert view.counts == {"submitted": 2}
    assert view.submissions == [_submission_view(message.submissions[0].id, world, "submitted", "00", "ok")]
    assert [recipient.submitted_at for recipient in await world.recipients(message)] == [instant(NOW_MS)] * 2


def _submission_view(
    submission_id: SubmissionId,
    world: World,
    status: RecipientStatus,
    code: str | None,
    provider_message: str | None,
    task_id: str | None = None,
) -> SubmissionView:
    return SubmissionView(
        id=submission_id,
        task_id=task_id or submission_id.removeprefix("sub_"),
        account_id=world.account.id,
        status=status,
        code=code,
        provider_message=provider_message,
        waiting_for=None,
    )


async def test_the_task_id_that_the_provider_answered_is_shown(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), Accepted(task_id="their own", code="00", message=None))
    own = message.submissions[0].id
    assert (await world.view(message)).submissions == [
        _submission_view(own, world, "submitted", "00", None, "their own")
    ]


async def test_a_refused_submission_failed_for_the_reason_that_was_given(world: World) -> None:
    message = await world.accept(NUMBERS)
    finished = await world.finish(work_of(message), REFUSED)
    assert (finished.status, finished.effects) == ("failed", _effects("failed", 2, message_failed=1))
    assert await world.told(message) == [
        ("message.failed", 1, [(FIRST, "failed", "content", "21"), (SECOND, "failed", "content", "21")])
    ]
    assert [
        (recipient.status, recipient.reason, recipient.provider_status, recipient.final, recipient.final_at)
        for recipient in await world.recipients(message)
    ] == [("failed", "content", "21", True, instant(NOW_MS))] * 2
    own = message.submissions[0].id
    assert (await world.view(message)).submissions == [_submission_view(own, world, "failed", "21", "keyword")]


async def test_what_was_not_sent_waits_until_it_is_due_again_under_the_same_task_id(world: World) -> None:
    message = await world.accept(NUMBERS)
    finished = await world.finish(work_of(message), NotSent(why="code", code="11", message="busy"))
    assert finished == FinishedSubmission(
        fenced=False, status="queued", message_id=message.id, retry_due_ms=RETRY_MS, effects=NO_EFFECTS
    )
    assert await world.counts(message) == {"queued": 2}
    assert await world.told(message) == []
    assert await world.claim(now_ms=RETRY_MS - 1) == []
    assert await world.claim(now_ms=RETRY_MS) == [work_of(message, attempt=2, taken_ms=RETRY_MS)]


async def test_what_was_not_sent_is_tried_again_as_often_as_it_takes(world: World) -> None:
    message = await world.accept(NUMBERS)
    work = work_of(message)
    for attempt in range(2, 12):
        assert (await world.finish(work, NOT_SENT)).status == "queued"
        (work,) = await world.claim(now_ms=RETRY_MS)
        assert work.attempt == attempt
    await world.finish(work, ACCEPTED)
    assert await world.counts(message) == {"submitted": 2}


async def test_an_unconfirmed_submission_is_held_and_never_claimed(world: World) -> None:
    message = await world.accept(NUMBERS)
    assert await world.finish(work_of(message), UNCONFIRMED) == FinishedSubmission(
        fenced=False,
        status="unconfirmed",
        message_id=message.id,
        retry_due_ms=None,
        effects=_effects("unconfirmed", 2),
    )
    assert await world.told(message) == []
    assert await world.claim(now_ms=NOW_MS + LEASE_MS * 60) == []


async def test_an_unconfirmed_submission_fails_when_its_sender_wants_that(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="fail")
    assert (await world.finish(work_of(message), UNCONFIRMED)).status == "failed"
    assert await world.told(message) == [
        ("message.failed", 1, [(FIRST, "failed", "unconfirmed", None), (SECOND, "failed", "unconfirmed", None)])
    ]


@pytest.mark.parametrize("on_unconfirmed", ["hold", "resend", "fail"])
async def test_an_unconfirmed_submission_is_resent_when_sender_or_account_say_so(
    world: World, on_unconfirmed: OnUnconfirmed
) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed=on_unconfirmed)
    finished = await world.finish(work_of(message), UNCONFIRMED, resend=True)
    assert (finished.status, finished.retry_due_ms) == ("queued", RETRY_MS)
    assert await world.claim(now_ms=RETRY_MS) == [work_of(message, attempt=2, taken_ms=RETRY_MS)]


async def test_a_resend_ends_after_three_attempts_as_unconfirmed(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    work, statuses = work_of(message), []
    while True:
        statuses.append((await world.finish(work, UNCONFIRMED)).status)
        claimed = await world.claim(now_ms=RETRY_MS)
        if not claimed:
            break
        (work,) = claimed
    assert statuses == ["queued", "queued", "unconfirmed"]
    assert await world.counts(message) == {"unconfirmed": 2}


async def test_a_refusal_after_an_attempt_that_may_have_arrived_is_unconfirmed(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    await world.finish(work_of(message), UNCONFIRMED)
    (again,) = await world.claim(now_ms=RETRY_MS)
    assert (await world.finish(again, REFUSED)).status == "unconfirmed"
    assert await world.told(message) == []


async def test_expiry_after_an_attempt_that_may_have_arrived_is_unconfirmed(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    await world.finish(work_of(message), UNCONFIRMED)
    assert (await world.sweep(message.expires_ms)).expired == 1
    assert await world.counts(message) == {"unconfirmed": 2}


# -- a report is the proof that it arrived ---------------------------------------------------------------------------

ONE_TOLD = [("message.delivered", 1, [(FIRST, "delivered", None, "DELIVRD")])]


@pytest.mark.parametrize("on_unconfirmed", ["hold", "resend", "fail"])
@pytest.mark.parametrize("outcome", [NOT_SENT, UNCONFIRMED])
async def test_what_a_report_has_spoken_of_is_not_sent_again(
    world: World, outcome: SendOutcome, on_unconfirmed: OnUnconfirmed
) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed=on_unconfirmed)
    await world.report(report(task_of(message), NUMBERS[0]))
    finished = await world.finish(work_of(message), outcome)
    assert (finished.status, finished.retry_due_ms) == ("submitted", None)
    assert await world.claim(now_ms=RETRY_MS) == []
    assert await world.told(message) == [*ONE_TOLD, ("message.submitted", 2, [(SECOND, "submitted", None, None)])]


async def test_a_report_that_is_not_final_proves_the_arrival_too(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    await world.report(report(task_of(message), NUMBERS[0], "ENROUTE"))
    assert (await world.finish(work_of(message), UNCONFIRMED)).status == "submitted"


@pytest.mark.parametrize("word", ["DELIVRD", "ENROUTE"])
async def test_a_report_stops_a_resend_that_waits(world: World, word: str) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    await world.finish(work_of(message), UNCONFIRMED)
    await world.report(report(task_of(message), NUMBERS[0], word))
    assert await world.claim(now_ms=RETRY_MS) == []
    assert (await world.told(message))[0] == (
        "message.submitted",
        1,
        [(FIRST, "submitted", None, None), (SECOND, "submitted", None, None)],
    )


async def test_a_report_of_the_first_attempt_stops_the_third(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    await world.finish(work_of(message), UNCONFIRMED)
    (second,) = await world.claim(now_ms=RETRY_MS)
    await world.report(report(task_of(message), NUMBERS[0]))
    assert (await world.finish(second, NOT_SENT)).status == "submitted"


async def test_a_refused_resend_of_what_was_reported_is_submitted(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    await world.finish(work_of(message), UNCONFIRMED)
    (second,) = await world.claim(now_ms=RETRY_MS)
    await world.report(report(task_of(message), NUMBERS[0]))
    assert (await world.finish(second, REFUSED)).status == "submitted"
    assert await world.told(message) == [*ONE_TOLD, ("message.submitted", 2, [(SECOND, "submitted", None, None)])]


@pytest.mark.parametrize("on_unconfirmed", ["hold", "resend", "fail"])
async def test_recovery_resends_nothing_that_was_reported(world: World, on_unconfirmed: OnUnconfirmed) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed=on_unconfirmed)
    await world.report(report(task_of(message), NUMBERS[0]))
    assert await world.store.recover(NOW_MS) == 1
    assert await world.counts(message) == {"submitted": 1, "delivered": 1}


# -- fencing ---------------------------------------------------------------------------------------------------------


async def test_a_second_finish_changes_nothing(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), ACCEPTED)
    before = await world.view(message)
    for outcome in (ACCEPTED, REFUSED, NOT_SENT, UNCONFIRMED):
        assert await world.finish(work_of(message), outcome) == FinishedSubmission(
            fenced=True, status="submitted", message_id=message.id, retry_due_ms=None, effects=NO_EFFECTS
        )
    assert await world.view(message) == before
    assert len(await world.told(message)) == 1


async def test_a_finish_under_a_claim_that_was_lost_changes_nothing(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), NOT_SENT)
    (again,) = await world.claim(now_ms=RETRY_MS, claim=OTHER_CLAIM)
    assert (await world.finish(work_of(message), REFUSED)).fenced
    assert await world.counts(message) == {"submitting": 2}
    assert not (await world.finish(again, ACCEPTED)).fenced


@pytest.mark.parametrize("on_unconfirmed", ["hold", "resend", "fail"])
async def test_a_finish_after_recovery_changes_nothing(world: World, on_unconfirmed: OnUnconfirmed) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed=on_unconfirmed)
    await world.store.recover(NOW_MS)
    before = await world.view(message)
    assert (await world.finish(work_of(message), ACCEPTED)).fenced
    assert await world.view(message) == before


# -- death -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_unconfirmed", "status"), [("hold", "unconfirmed"), ("resend", "queued"), ("fail", "failed")]
)
async def test_what_a_dead_process_was_sending_ends_as_its_sender_wants(
    world: World, on_unconfirmed: OnUnconfirmed, status: RecipientStatus
) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed=on_unconfirmed)
    waiting = await world.accept(NUMBERS, status="queued")
    assert await world.store.recover(NOW_MS) == 1
    assert await world.counts(message) == {status: 2}
    assert await world.counts(waiting) == {"queued": 2}
    assert await world.store.recover(NOW_MS) == 0
    await world.check_books(message)


@pytest.mark.parametrize(
    ("on_unconfirmed", "status"), [("hold", "unconfirmed"), ("resend", "queued"), ("fail", "failed")]
)
async def test_a_lapsed_lease_ends_as_a_death_does(
    world: World, on_unconfirmed: OnUnconfirmed, status: RecipientStatus
) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed=on_unconfirmed)
    assert (await world.sweep(NOW_MS + LEASE_MS - 1)).lapsed == 0
    swept = await world.sweep(NOW_MS + LEASE_MS)
    assert (swept.lapsed, swept.settled) == (1, (message.id,))
    assert await world.counts(message) == {status: 2}
    assert (await world.finish(work_of(message), ACCEPTED)).fenced


async def test_a_resend_that_dies_each_time_ends_after_three_attempts(world: World) -> None:
    message = await world.accept(NUMBERS, on_unconfirmed="resend")
    for _ in range(2):
        await world.store.recover(NOW_MS)
        assert len(await world.claim()) == 1
    await world.store.recover(NOW_MS)
    assert await world.counts(message) == {"unconfirmed": 2}


# -- waiting too long ------------------------------------------------------------------------------------------------


async def test_what_expires_unsent_failed_and_is_told(world: World) -> None:
    message = await world.accept(NUMBERS, status="queued")
    assert await world.sweep(message.expires_ms - 1) == Swept(
        expired=0, lapsed=0, told_unconfirmed=0, no_report=0, more=False, settled=(), effects=NO_EFFECTS
    )
    assert await world.sweep(message.expires_ms) == Swept(
        expired=1,
        lapsed=0,
        told_unconfirmed=0,
        no_report=0,
        more=False,
        settled=(message.id,),
        effects=_effects("failed", 2, message_failed=1),
    )
    assert await world.told(message) == [
        ("message.failed", 1, [(FIRST, "failed", "expired", None), (SECOND, "failed", "expired", None)])
    ]


async def test_an_unconfirmed_submission_is_told_once_after_a_while(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), UNCONFIRMED)
    await world.report(report(task_of(message), NUMBERS[0]))
    assert (await world.sweep(NOW_MS + TOLD_AFTER_MS - 1)).told_unconfirmed == 0
    assert (await world.sweep(NOW_MS + TOLD_AFTER_MS)).told_unconfirmed == 1
    assert (await world.sweep(NOW_MS + TOLD_AFTER_MS + SECOND_MS)).told_unconfirmed == 0
    assert await world.told(message) == [*ONE_TOLD, ("message.unconfirmed", 2, [(SECOND, "unconfirmed", None, None)])]


@pytest.mark.parametrize("outcome", [ACCEPTED, UNCONFIRMED])
async def test_silence_ends_as_no_report(world: World, outcome: SendOutcome) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), outcome)
    await world.report(report(task_of(message), NUMBERS[0]))
    assert (await world.sweep(NOW_MS + NO_REPORT_AFTER_MS - 1)).no_report == 0
    assert (await world.sweep(NOW_MS + NO_REPORT_AFTER_MS)).no_report == 1
    assert await world.counts(message) == {"delivered": 1, "no_report": 1}
    assert (await world.told(message))[-1][2] == [(SECOND, "no_report", "no_report", None)]
    (_, silent) = await world.recipients(message)
    assert [(view.source, view.status, view.received_at) for view in silent.reports] == [
        ("sweep", "NO_REPORT", instant(NOW_MS + NO_REPORT_AFTER_MS))
    ]
    await world.check_books(message)


async def test_a_sweep_takes_no_more_than_its_limit_and_says_that_there_is_more(world: World) -> None:
    made = [await world.accept(mobiles(1), status="queued") for _ in range(3)]
    swept = [await world.sweep(made[0].expires_ms, limit=2) for _ in range(2)]
    assert [(once.expired, once.more) for once in swept] == [(2, True), (1, False)]


async def test_a_claimed_submission_does_not_expire(world: World) -> None:
    message = await world.accept(NUMBERS, expires_ms=NOW_MS + 10)
    assert (await world.sweep(NOW_MS + 10)).expired == 0
    await world.finish(work_of(message, claim=CLAIM), ACCEPTED)
    assert await world.counts(message) == {"submitted": 2}
