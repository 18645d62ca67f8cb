"""Bodies that were set aside: looked at, read again, dismissed."""

from typing import Any

import msgspec

from relay.domain.errors import AlreadySettled, NotFound
from relay.domain.ids import AccountId, RawId, raw_bytes
from relay.domain.orphans import QuarantineReprocessed, QuarantineView
from relay.domain.provider import BodyKind, RawBody
from relay.domain.times import instant
from relay.ports import Page, PendingRaw, ReadBody, ReadReports, Replay, SetAside, Telling, Told
from relay.store.script import Db, Row, Script
from relay.store.scripts import inbound, marks, reports
from relay.store.scripts import raw as raws
from relay.store.scripts import telling as told
from relay.store.scripts.emit import Effects
from relay.store.scripts.views import before
from relay.store.sealing import KeyRing


def quarantined(
    db: Db, *, kind: BodyKind | None, account: bytes | None, position: str | None, limit: int
) -> Script[Page[QuarantineView]]:
    """Newest first."""
    bound: dict[str, Any] = {"before": before(position), "kind": kind, "account": account, "most": limit + 1}
    rows = yield from db.rows("quarantine.list", **bound)
    return Page(
        data=[_view(row) for row in rows[:limit]],
        next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None,
    )


def count(db: Db) -> Script[int]:
    """Up to 10,000."""
    row = yield from db.row("quarantine.count")
    return 0 if row is None else int(row[0])


def _view(row: Row) -> QuarantineView:
    return QuarantineView(
        id=RawId("raw_" + bytes(row[0]).hex()),
        account_id=AccountId("acct_" + bytes(row[1]).hex()),
        kind=row[2],
        source=row[3],
        state=row[4],
        why=row[5],
        content_type=row[6],
        size_bytes=row[7],
        received_at=instant(row[8]),
    )


def set_aside(db: Db, raw_id: str) -> Script[SetAside | None]:
    """One that is or was in quarantine."""
    row = yield from db.row("quarantine.find", id=raw_bytes(raw_id))
    if row is None:
        return None
    view = _view(row)
    raw = RawBody(
        kind=view.kind,
        source=view.source,
        content_type=view.content_type,
        query=bytes(row[9]),
        body=bytes(row[10]),
        received_ms=row[8],
    )
    return SetAside(
        view=view,
        item=PendingRaw(id=view.id, account_id=view.account_id, raw=raw),
        applied_unknown=row[11] is None and view.why == raws.PARTS_UNREADABLE,
    )


def reprocess(
    db: Db, ring: KeyRing, body: ReadBody, now_ms: int, telling: Telling[QuarantineReprocessed]
) -> Script[Told[QuarantineReprocessed] | Replay]:
    """Apply what was not applied before. The rows that were are told by what they say (``raws.tally``): an inbound
    message has no id, and a report that comes twice would be shown twice."""
    replay = yield from told.begin(db, ring, telling)
    if replay is not None:
        return replay
    item, effects = body.item, Effects()
    view, applied = yield from _find(db, item.id)
    account, raw = raw_bytes(item.account_id), item.raw
    if isinstance(body, ReadReports):
        new_reports = raws.not_in(applied, body.reading.rows)
        rows = yield from reports.apply_rows(db, effects, account, item.id, raw, new_reports, now_ms)
        number, applied = len(new_reports), raws.tally(new_reports, applied)
    else:
        new_inbound = raws.not_in(applied, body.reading.rows)
        rows = yield from inbound.apply_rows(db, effects, account, item.id, raw, new_inbound, now_ms)
        number, applied = len(new_inbound), raws.tally(new_inbound, applied)
    unreadable = body.reading.unreadable
    view = msgspec.structs.replace(
        view,
        state="quarantined" if unreadable else "applied",
        why=raws.PARTS_UNREADABLE if unreadable else view.why,
    )
    yield from _settle(db, view, applied, now_ms)
    outcome = QuarantineReprocessed(
        id=view.id,
        state=view.state,
        why=view.why,
        rows=rows,
        already_applied=len(body.reading.rows) - number,
        unreadable=unreadable,
    )
    return (yield from told.end(db, ring, telling, outcome, effects))


def keep(
    db: Db, ring: KeyRing, raw_id: str, why: str, telling: Telling[QuarantineReprocessed]
) -> Script[Told[QuarantineReprocessed] | Replay]:
    """It stays, for this reason now. Nothing was applied of a body that broke our code, and if there was something
    before, it is still noted."""
    replay = yield from told.begin(db, ring, telling)
    if replay is not None:
        return replay
    view, applied = yield from _find(db, raw_id)
    view = msgspec.structs.replace(view, why=why)
    yield from _settle(db, view, applied, now_ms=0)
    outcome = QuarantineReprocessed(id=view.id, state=view.state, why=why, rows={}, already_applied=0, unreadable=1)
    return (yield from told.end(db, ring, telling, outcome, Effects()))


def dismiss(
    db: Db, ring: KeyRing, raw_id: str, now_ms: int, telling: Telling[QuarantineView]
) -> Script[Told[QuarantineView] | Replay]:
    """Nobody needs it."""
    replay = yield from told.begin(db, ring, telling)
    if replay is not None:
        return replay
    view, applied = yield from _find(db, raw_id)
    view = msgspec.structs.replace(view, state="dismissed")
    yield from _settle(db, view, applied, now_ms)
    return (yield from told.end(db, ring, telling, view, Effects()))


def _find(db: Db, raw_id: str) -> Script[tuple[QuarantineView, str]]:
    row = yield from db.row("quarantine.find", id=raw_bytes(raw_id))
    if row is None:
        raise NotFound("There is no such body.")
    view = _view(row)
    if view.state != "quarantined":
        raise _settled(view)
    return view, row[11] or raws.NOTHING_APPLIED


def _settled(view: QuarantineView) -> AlreadySettled:
    return AlreadySettled(f"The body was {view.state} already.")


def _settle(db: Db, view: QuarantineView, applied: str, now_ms: int) -> Script[None]:
    key = raw_bytes(view.id)
    settled = yield from db.run("quarantine.settle", state=view.state, why=view.why, applied=applied, id=key)
    if not settled:
        # Somebody was faster; what this transaction did is undone.
        raise _settled(view)
    if view.state != "quarantined" and key <= (yield from marks.find(db, "raw")):
        # Retention has been past it and left it for the quarantine's own time: it is to look again, now.
        yield from marks.leave(db, "raw", [(key, now_ms)])
