"""Orphans as they are looked at."""

from typing import Any, Final

import msgspec

from relay.domain.ids import AccountId, OrphanId, RawId, raw_bytes
from relay.domain.orphans import OrphanResolution, OrphanStatus, OrphanView
from relay.domain.provider import BodyKind
from relay.domain.retention import ERASED
from relay.domain.times import instant, instant_or_none
from relay.ports import Page
from relay.store.script import Db, Row, Script
from relay.store.scripts.views import before

_RESOLUTION: Final = msgspec.json.Decoder(OrphanResolution)


def orphan(db: Db, orphan_id: str) -> Script[OrphanView | None]:
    """One orphan."""
    row = yield from db.row("orphans.view", id=raw_bytes(orphan_id))
    return None if row is None else _view(row)


def orphans(
    db: Db,
    *,
    kind: BodyKind | None,
    account: bytes | None,
    status: OrphanStatus | None,
    position: str | None,
    limit: int,
) -> Script[Page[OrphanView]]:
    """Newest first. Open ones have an index of their own."""
    bound: dict[str, Any] = {"before": before(position), "kind": kind, "account": account, "most": limit + 1}
    if status == "open":
        rows = yield from db.rows("orphans.list_open", **bound)
    else:
        rows = yield from db.rows("orphans.list", resolved=int(status == "resolved"), **bound)
    return Page(
        data=[_view(row) for row in rows[:limit]],
        next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None,
    )


def count_open(db: Db) -> Script[int]:
    """Up to 10,000."""
    row = yield from db.row("orphans.count_open")
    return 0 if row is None else int(row[0])


def _view(row: Row) -> OrphanView:
    key, account, kind, source, task, number, content, extension, raw_time, occurred_ms, received_ms, raw, *end = row
    resolved_ms, resolution = end
    how = None
    if resolved_ms is not None:
        # Without a word it was adopted when its submission became known.
        how = OrphanResolution(how="matched") if resolution is None else _RESOLUTION.decode(resolution)
    return OrphanView(
        id=OrphanId("orph_" + bytes(key).hex()),
        account_id=AccountId("acct_" + bytes(account).hex()),
        kind=kind,
        source=source,
        status="open" if resolved_ms is None else "resolved",
        number=number,
        text=content if kind == "mo" else None,
        to_extension=extension,
        task_id=task,
        provider_status=content if kind == "report" else None,
        provider_time=raw_time,
        occurred_at=instant_or_none(occurred_ms),
        received_at=instant(received_ms),
        raw_id=RawId("raw_" + bytes(raw).hex()),
        resolved_at=instant_or_none(resolved_ms),
        resolution=how,
        erased=number == ERASED,
    )
