"""What nobody ends: leases of the dead, what waited too long, and what nobody asks for any more."""

from collections import Counter
from typing import Final

from relay.domain.ids import MessageId
from relay.domain.times import HOUR_MS, instant
from relay.ports import Swept
from relay.store.script import Db, Script
from relay.store.scripts import adopt, reports
from relay.store.scripts.emit import Effects, Move, SubmissionRow, changes, find_submission, move, open_mobiles, settle
from relay.store.scripts.submit import give_back_quota, leave_unconfirmed
from relay.store.scripts.subscriptions import discard_of_endpoint

DELETED_LATELY_MS: Final = HOUR_MS
"""So long after an endpoint was deleted, what is still pending for it is looked for."""


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
