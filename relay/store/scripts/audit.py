"""Adding to the audit, and reading it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.audit import AuditEntry, AuditFilter, AuditView
from relay.domain.ids import AuditId, raw_bytes
from relay.domain.times import instant
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import idempotency as keys
from relay.store.scripts.views import before
from relay.store.sealing import KeyRing

_DETAIL: Final = msgspec.json.Decoder(dict[str, Any])


def add(db: Db, entry: AuditEntry) -> Script[None]:
    """To be called in the transaction that does what it tells."""
    yield from db.put(
        "audit.insert",
        id=raw_bytes(entry.id),
        at_ms=entry.at_ms,
        actor=entry.actor.name,
        action=entry.action,
        target=entry.target,
        detail=msgspec.json.encode(entry.detail).decode(),
        from_address=entry.actor.from_address,
        request_id=entry.actor.request_id,
    )


def add_once(db: Db, ring: KeyRing, entry: AuditEntry, idempotency: Idempotency | None) -> Script[Stored | Replay]:
    """Add it, unless another request has the key."""
    replay = yield from keys.take(db, ring, idempotency)
    if replay is not None:
        return replay
    yield from add(db, entry)
    return Stored()


def entries(db: Db, filters: AuditFilter, position: str | None, limit: int) -> Script[Page[AuditView]]:
    """Newest first."""
    rows = yield from db.rows("audit.list", before=before(position), most=limit + 1, **_bound(filters))
    return _page(rows, limit)


def entries_from(db: Db, filters: AuditFilter, position: str | None, limit: int) -> Script[Page[AuditView]]:
    """Oldest first."""
    after = b"" if position is None else bytes.fromhex(position)
    rows = yield from db.rows("audit.list_from", after=after, most=limit + 1, **_bound(filters))
    return _page(rows, limit)


def _bound(filters: AuditFilter) -> dict[str, Any]:
    bound = msgspec.structs.asdict(filters)
    if filters.action is not None:
        # Of a family: every action that begins like it. A "_" in an action fits itself, and no other action.
        bound["action"] = filters.action.replace("*", "%")
    return bound


def _page(rows: Sequence[Row], limit: int) -> Page[AuditView]:
    return Page(
        data=[_view(row) for row in rows[:limit]],
        next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None,
    )


def _view(row: Row) -> AuditView:
    return AuditView(
        id=AuditId("aud_" + bytes(row[0]).hex()),
        at=instant(row[1]),
        actor=row[2],
        action=row[3],
        target=row[4],
        detail=_DETAIL.decode(row[5]),
        from_address=row[6],
        request_id=row[7],
    )
