"""Claiming submissions, and storing what became of them."""

from typing import Final

from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId, raw_bytes, task_id
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, NotSent, Refused, SendOutcome, Unconfirmed
from relay.domain.states import PRIORITY, STATUSES, RecipientStatus
from relay.ports import FinishedSubmission
from relay.store.script import Db, Script
from relay.store.scripts import adopt, reports
from relay.store.scripts.emit import Effects, SubmissionRow, find_submission, settle

MAX_RESENDS: Final = 3
"""Attempts of a submission whose outcome is unknown and whose sender chose ``resend``; then it waits for a report."""


def claim(
    db: Db, account_id: AccountId, limit: int, *, claim: bytes, now_ms: int, lease_until_ms: int
) -> Script[list[SubmissionWork]]:
    """See ``relay.ports.Store.claim_submissions``."""
    account = raw_bytes(account_id)
    works: list[SubmissionWork] = []
    for priority in sorted(PRIORITY.values()):
        if len(works) == limit:
            break
        rows = yield from db.rows(
            "submissions.due", account=account, priority=priority, now_ms=now_ms, most=limit - len(works)
        )
        for submission, message, status, attempt, n_open in rows:
            yield from db.put(
                "submissions.mark_submitting",
                id=submission,
                claim=claim,
                lease_until_ms=lease_until_ms,
                now_ms=now_ms,
            )
            yield from db.put(
                "states.move", message=message, events=0, **_deltas({status: -n_open, "submitting": n_open})
            )
            works.append((yield from _work(db, account_id, submission, message, attempt + 1, claim, lease_until_ms)))
    return works


def _deltas(changed: dict[RecipientStatus, int]) -> dict[str, int]:
    return {status: changed.get(status, 0) for status in STATUSES}


def _work(
    db: Db,
    account_id: AccountId,
    submission: bytes,
    message: bytes,
    attempt: int,
    claim: bytes,
    lease_until_ms: int,
) -> Script[SubmissionWork]:
    row = yield from db.row("submissions.work", message=message)
    if row is None:
        raise LookupError(f"submission {bytes(submission).hex()} has no message")
    team, text, extension, category, on_unconfirmed, created_ms = row
    # Not those that have ended: see scripts/withhold.py.
    mobiles = yield from db.rows("recipients.open", submission=submission)
    return SubmissionWork(
        id=SubmissionId("sub_" + bytes(submission).hex()),
        message_id=MessageId("msg_" + bytes(message).hex()),
        team_id=TeamId("team_" + bytes(team).hex()),
        account_id=account_id,
        text=text,
        extension=extension,
        mobiles=[found[0] for found in mobiles],
        attempt=attempt,
        claim=claim,
        lease_until_ms=lease_until_ms,
        category=category,
        on_unconfirmed=on_unconfirmed,
        accepted_ms=created_ms,
    )


def next_due_ms(db: Db, account_id: AccountId) -> Script[int | None]:
    """See ``relay.ports.Store.next_submission_due_ms``."""
    dues: list[int] = []
    for priority in PRIORITY.values():
        row = yield from db.row("submissions.next_due", account=raw_bytes(account_id), priority=priority)
        if row is not None and row[0] is not None:
            dues.append(row[0])
    return min(dues, default=None)


def finish(
    db: Db,
    work: SubmissionWork,
    outcome: SendOutcome,
    *,
    now_ms: int,
    retry_due_ms: int,
    resend: bool,
    move_to: AccountId | None,
) -> Script[FinishedSubmission]:
    """See ``relay.ports.Store.finish_submission``."""
    row = yield from find_submission(db, raw_bytes(work.id))
    effects = Effects()
    if row is None or row.claim != work.claim or row.status != "submitting":
        return _finished(row, work, effects, fenced=True, retry_due_ms=None)
    retried: int | None = None
    moved_to: AccountId | None = None
    match outcome:
        case Accepted():
            yield from settle(
                db,
                effects,
                row,
                "submitted",
                now_ms=now_ms,
                code=outcome.code,
                provider_message=outcome.message,
                provider_task_id=outcome.task_id,
            )
            # A report under the provider's own taskId may have come before the answer that told us of that id.
            if outcome.task_id is not None and outcome.task_id != task_id(work.id):
                yield from adopt.adopt_orphans(db, effects, row, outcome.task_id, now_ms)
        case Refused():
            yield from _refuse(db, effects, row, outcome, now_ms)
        case NotSent():
            if (yield from reports.have_come(db, row)):
                # An earlier attempt, or against all evidence this one, arrived: it must not go out a second time.
                yield from settle(db, effects, row, "submitted", now_ms=now_ms)
            else:
                retried = retry_due_ms
                # Only where nothing of it can be: two providers' accounts would send it twice.
                moved_to = None if row.maybe_sent else move_to
                yield from requeue(
                    db,
                    row,
                    account=row.account if moved_to is None else raw_bytes(moved_to),
                    due_ms=retry_due_ms,
                    now_ms=now_ms,
                    maybe_sent=row.maybe_sent,
                    code=outcome.code,
                    provider_message=outcome.message,
                )
        case Unconfirmed():
            if (yield from leave_unconfirmed(db, effects, row, now_ms=now_ms, due_ms=retry_due_ms, resend=resend)):
                retried = retry_due_ms
    return _finished(row, work, effects, fenced=False, retry_due_ms=retried, moved_to=moved_to)


def _finished(
    row: SubmissionRow | None,
    work: SubmissionWork,
    effects: Effects,
    *,
    fenced: bool,
    retry_due_ms: int | None,
    moved_to: AccountId | None = None,
) -> FinishedSubmission:
    return FinishedSubmission(
        fenced=fenced,
        status="submitting" if row is None else row.status,
        message_id=work.message_id,
        retry_due_ms=retry_due_ms,
        effects=reports.effects_of(effects),
        moved_to=moved_to,
    )


def _refuse(db: Db, effects: Effects, row: SubmissionRow, outcome: Refused, now_ms: int) -> Script[None]:
    if row.maybe_sent:
        # This attempt was refused, but an earlier one may have arrived: only a report can tell, and may have told.
        arrived = yield from reports.have_come(db, row)
        yield from settle(
            db,
            effects,
            row,
            "submitted" if arrived else "unconfirmed",
            now_ms=now_ms,
            tell=arrived,
            code=outcome.code,
            provider_message=outcome.message,
        )
        return
    yield from give_back_quota(db, row)
    yield from settle(
        db,
        effects,
        row,
        "failed",
        now_ms=now_ms,
        reason=outcome.reason,
        code=outcome.code,
        provider_message=outcome.message,
    )


def give_back_quota(db: Db, row: SubmissionRow) -> Script[None]:
    """What the provider never accepted costs no quota."""
    if row.quota_day is not None and row.n_open:
        yield from db.put("quota.give_back", team=row.team, day=row.quota_day, units=row.segments * row.n_open)


def requeue(
    db: Db,
    row: SubmissionRow,
    *,
    account: bytes,
    due_ms: int,
    now_ms: int,
    maybe_sent: int,
    code: str | None,
    provider_message: str | None,
) -> Script[None]:
    """Back to ``queued``, under the same taskId, over this account."""
    yield from db.put(
        "submissions.requeue",
        id=row.id,
        account=account,
        due_ms=due_ms,
        now_ms=now_ms,
        maybe_sent=maybe_sent,
        code=code,
        provider_message=provider_message,
    )
    yield from db.put(
        "states.move", message=row.message, events=0, **_deltas({row.status: -row.n_open, "queued": row.n_open})
    )
    row.status = "queued"


def leave_unconfirmed(
    db: Db, effects: Effects, row: SubmissionRow, *, now_ms: int, due_ms: int, resend: bool
) -> Script[bool]:
    """The provider may have it. True when it was queued again: asked for, not too often, and no report has come. A
    report of any of its numbers, final or not, proves that all of it arrived."""
    if (yield from reports.have_come(db, row)):
        yield from settle(db, effects, row, "submitted", now_ms=now_ms)
        return False
    if resend and row.attempt < MAX_RESENDS:
        yield from requeue(
            db,
            row,
            account=row.account,
            due_ms=due_ms,
            now_ms=now_ms,
            maybe_sent=1,
            code=None,
            provider_message=None,
        )
        return True
    if row.on_unconfirmed == "fail":
        # No quota back: it may have been sent all the same.
        yield from settle(db, effects, row, "failed", now_ms=now_ms, reason="unconfirmed")
        return False
    yield from settle(db, effects, row, "unconfirmed", now_ms=now_ms, tell=False)
    return False
