"""Claiming submissions, storing what became of them, and ending what waited too long."""

from collections import Counter
from typing import Final

from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId, raw_bytes, task_id
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, NotSent, Refused, SendOutcome, Unconfirmed
from relay.domain.states import PRIORITY, STATUSES, RecipientStatus
from relay.domain.times import HOUR_MS, instant
from relay.ports import FinishedSubmission, Swept
from relay.store.script import Db, Script
from relay.store.scripts import adopt, reports
from relay.store.scripts.emit import Effects, Move, SubmissionRow, changes, find_submission, move, open_mobiles, settle
from relay.store.scripts.subscriptions import discard_of_endpoint

MAX_RESENDS: Final = 3
"""Attempts of a submission whose outcome is unknown and whose sender chose ``resend``; then it waits for a report."""

DELETED_LATELY_MS: Final = HOUR_MS
"""So long after an endpoint was deleted, what is still pending for it is looked for."""


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


def recover(db: Db, now_ms: int) -> Script[int]:
    """See ``relay.ports.Store.recover``."""
    effects = Effects()
    rows = yield from db.rows("submissions.running")
    yield from db.hold(*(bytes(found[0]) for found in rows))
    for found in rows:
        row = yield from find_submission(db, bytes(found[0]))
        if row is None:
            continue
        resend = row.on_unconfirmed == "resend"
        yield from leave_unconfirmed(db, effects, row, now_ms=now_ms, due_ms=now_ms, resend=resend)
    yield from db.run("deliveries.free_all")
    return len(rows)


def sweep(
    db: Db, now_ms: int, *, told_after_ms: int, no_report_after_ms: int, forget_keys_before_ms: int, limit: int
) -> Script[Swept]:
    """See ``relay.ports.Store.sweep``."""
    effects = Effects()
    done: Counter[str] = Counter()
    settled: list[MessageId] = []
    befores = {
        "expired": now_ms,
        "lapsed": now_ms,
        "silent": now_ms - no_report_after_ms,
        "untold": now_ms - told_after_ms,
    }
    found: dict[str, list[bytes]] = {}
    for kind, before_ms in befores.items():
        rows = yield from db.rows(f"submissions.{kind}", before_ms=before_ms, most=limit)
        found[kind] = [bytes(row[0]) for row in rows]
    # All at once: every process locks messages in one order.
    yield from db.hold(*{submission for submissions in found.values() for submission in submissions})
    for kind, submissions in found.items():
        for submission in submissions:
            row = yield from find_submission(db, submission)
            if row is None or not _is_still(kind, row, befores[kind]):
                # It was settled while we waited for it.
                continue
            done[kind] += 1
            settled.append(row.message_id)
            yield from _end(db, effects, kind, row, now_ms)
    yield from adopt.adopt_late(db, effects, now_ms, limit)
    discards = yield from _discard_deliveries(db, now_ms)
    forgotten = yield from db.run("idempotency.forget", before_ms=forget_keys_before_ms, most=limit)
    return Swept(
        expired=done["expired"],
        lapsed=done["lapsed"],
        told_unconfirmed=done["untold"],
        no_report=done["silent"],
        more=discards or forgotten == limit or any(len(submissions) == limit for submissions in found.values()),
        settled=tuple(settled),
        effects=reports.effects_of(effects),
    )


def _is_still(kind: str, row: SubmissionRow, before_ms: int) -> bool:
    """Whether the query that found it would find it again."""
    if kind == "expired":
        return row.status in ("scheduled", "queued")
    if kind == "lapsed":
        return row.status == "submitting" and (row.lease_until_ms or 0) <= before_ms
    if kind == "untold":
        return row.status == "unconfirmed" and not row.told and row.n_open > 0 and row.since_ms <= before_ms
    return row.status in ("submitted", "unconfirmed") and row.n_open > 0 and row.since_ms <= before_ms


def _end(db: Db, effects: Effects, kind: str, row: SubmissionRow, now_ms: int) -> Script[None]:
    if kind == "expired":
        yield from _expire(db, effects, row, now_ms)
    elif kind == "lapsed":
        # Its process died or got stuck while it was sending: the provider may have it.
        resend = row.on_unconfirmed == "resend"
        yield from leave_unconfirmed(db, effects, row, now_ms=now_ms, due_ms=now_ms, resend=resend)
    elif kind == "silent":
        yield from settle(db, effects, row, "no_report", now_ms=now_ms, reason="no_report")
    else:
        yield from _tell_unconfirmed(db, effects, row, now_ms)


def _discard_deliveries(db: Db, now_ms: int) -> Script[bool]:
    more = False
    for row in (yield from db.rows("endpoints.deleted_with_due", since_ms=now_ms - DELETED_LATELY_MS)):
        more |= yield from discard_of_endpoint(db, row[0], now_ms)
    return more


def _expire(db: Db, effects: Effects, row: SubmissionRow, now_ms: int) -> Script[None]:
    if row.maybe_sent:
        yield from settle(db, effects, row, "unconfirmed", now_ms=now_ms, tell=False)
        return
    yield from give_back_quota(db, row)
    yield from settle(db, effects, row, "failed", now_ms=now_ms, reason="expired")


def _tell_unconfirmed(db: Db, effects: Effects, row: SubmissionRow, now_ms: int) -> Script[None]:
    mobiles = yield from open_mobiles(db, row)
    yield from db.put("submissions.mark_told", id=row.id)
    told = changes(mobiles, "unconfirmed", reason=None, provider_status=None, occurred_ms=now_ms)
    moved = Move(row=row, deltas={}, told=[("message.unconfirmed", told)], occurred_at=instant(now_ms))
    yield from move(db, effects, [moved], now_ms)
