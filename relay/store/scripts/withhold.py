"""Opt-outs between accepting a message and sending it: a scheduled message may wait for months."""

from relay.domain.ids import raw_bytes
from relay.domain.messages import SubmissionWork
from relay.domain.states import STATUSES
from relay.domain.times import instant
from relay.ports import Trimmed
from relay.store.script import Db, Script
from relay.store.scripts.emit import Effects, Move, SubmissionRow, changes, find_submission, move, open_mobiles, settle
from relay.store.scripts.reports import effects_of
from relay.store.scripts.suppressions import suppressed

_FAILED = STATUSES.index("failed") + 1


def withhold(db: Db, work: SubmissionWork, now_ms: int) -> Script[Trimmed]:
    """See ``relay.ports.Store.withhold_suppressed``."""
    row = yield from find_submission(db, raw_bytes(work.id))
    effects = Effects()
    if row is None or row.claim != work.claim or row.status != "submitting":
        return Trimmed(fenced=True, mobiles=[], effects=effects_of(effects))
    if row.maybe_sent:
        # It may have gone there already: that it never will could not be said of any number.
        return Trimmed(fenced=False, mobiles=work.mobiles, effects=effects_of(effects))
    # As they stand there, not as the work says: it may be asked again when the first answer was lost.
    mobiles = yield from open_mobiles(db, row)
    out = set((yield from suppressed(db, row.team, mobiles)))
    rest = [mobile for mobile in mobiles if mobile not in out]
    if out and row.quota_day is not None:
        yield from db.put("quota.give_back", team=row.team, day=row.quota_day, units=row.segments * len(out))
    if not rest:
        yield from settle(db, effects, row, "failed", now_ms=now_ms, reason="suppressed")
    elif out:
        yield from _fail(db, effects, row, sorted(out), now_ms)
    return Trimmed(fenced=False, mobiles=rest, effects=effects_of(effects))


def _fail(db: Db, effects: Effects, row: SubmissionRow, mobiles: list[int], now_ms: int) -> Script[None]:
    yield from db.many(
        "recipients.set_status", [(_FAILED, "suppressed", None, now_ms, row.id, mobile) for mobile in mobiles]
    )
    yield from db.put("submissions.close_some", id=row.id, closed=len(mobiles))
    told = changes(mobiles, "failed", reason="suppressed", provider_status=None, occurred_ms=now_ms)
    moved = Move(
        row=row,
        deltas={row.status: -len(mobiles), "failed": len(mobiles)},
        told=[("message.failed", told)],
        occurred_at=instant(now_ms),
    )
    yield from move(db, effects, [moved], now_ms)
