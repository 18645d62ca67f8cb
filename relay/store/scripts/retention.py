"""Deleting and erasing what is old, a small batch at a time: a batch holds the one writer for some milliseconds."""

from typing import Any, assert_never

from relay.domain.ids import first_id, id_ms
from relay.domain.retention import RetentionKind
from relay.domain.times import instant
from relay.ports import Retired
from relay.store.partitions import Table, day_start_ms
from relay.store.script import Db, Row, Script
from relay.store.scripts import marks, old_messages, partitions


def retire(db: Db, kind: RetentionKind, *, before_ms: int, now_ms: int, limit: int) -> Script[Retired]:
    """See ``relay.ports.Store.retire``."""
    match kind:
        case "pending":
            return (yield from _expire(db, before_ms, now_ms, limit))
        case "events":
            return (yield from _events(db, before_ms, now_ms, limit))
        case "deliveries":
            return (yield from _by_day(db, "history", before_ms, now_ms, limit))
        case "attempts":
            return (yield from _by_day(db, "attempts", before_ms, now_ms, limit))
        case "raw":
            return (yield from _raw(db, before_ms, now_ms, limit))
        case "quarantine":
            return (yield from _quarantine(db, before_ms, limit))
        case "content":
            return (yield from old_messages.erase(db, before_ms=before_ms, now_ms=now_ms, limit=limit))
        case "inbound_content":
            return (yield from _erase(db, kind, "inbound", before_ms, limit))
        case "orphan_content":
            return (yield from _erase(db, kind, "orphans", before_ms, limit))
        case "messages":
            return (yield from old_messages.forget(db, before_ms=before_ms, now_ms=now_ms, limit=limit))
        case "inbound" | "orphans":
            return (yield from _forget(db, kind, before_ms, limit))
        case "pairs":
            return (yield from _pairs(db, before_ms, limit))
        case "quota":
            day = instant(before_ms).date().isoformat()
            rows = yield from db.run("quota.forget", before_day=day, most=limit)
            return Retired(rows=rows, more=rows == limit, overdue_ms=None)
        case _:
            assert_never(kind)


def _walked(rows: list[Row], limit: int, *, changed: int | None = None) -> Retired:
    """The outcome of a walk over ``rows``, which begin with their id; ``changed``: not all of them."""
    full = len(rows) == limit
    return Retired(
        rows=len(rows) if changed is None else changed,
        more=full,
        overdue_ms=id_ms(bytes(rows[-1][0])) if full else None,
    )


def _expire(db: Db, before_ms: int, now_ms: int, limit: int) -> Script[Retired]:
    rows = yield from db.rows("deliveries.expire", before=first_id(before_ms), most=limit)
    ended: list[tuple[Any, ...]] = [
        (key, endpoint, event, team, "expired", attempt, created_ms, now_ms)
        for key, endpoint, event, team, attempt, created_ms in rows
    ]
    yield from db.many("history.insert", ended)
    return _walked(sorted(rows, key=lambda row: bytes(row[0])), limit)


def _events(db: Db, before_ms: int, now_ms: int, limit: int) -> Script[Retired]:
    # An attempt may be under way for an event that has come to its end: its payload stays until the delivery has ended.
    needed = yield from db.row("deliveries.oldest", before=first_id(before_ms))
    if needed is not None:
        before_ms = min(before_ms, id_ms(bytes(needed[0])))
    return (yield from _by_day(db, "events", before_ms, now_ms, limit))


def _by_day(db: Db, table: Table, before_ms: int, now_ms: int, limit: int) -> Script[Retired]:
    if db.partitioned:
        before_ms = day_start_ms(before_ms)
        dropped = yield from _drop(db, table, before_ms, now_ms)
        if dropped is not None:
            return dropped
    rows = yield from db.rows(f"{table}.old", before=first_id(before_ms), most=limit)
    if rows:
        yield from db.run(f"{table}.forget", last=rows[-1][0])
    return _walked(rows, limit)


def _drop(db: Db, table: Table, before_ms: int, now_ms: int) -> Script[Retired | None]:
    """What dropping a partition did; None when none is to be dropped, and rows are to be looked for."""
    dropped = yield from partitions.keep(db, table, now_ms=now_ms, before_ms=before_ms)
    if not dropped.gone and not dropped.left:
        return None
    overdue_ms = dropped.left[0].high_ms - 1 if dropped.left else None
    # A partition whose lock could not be had goes at the next run, and its rows are not deleted one by one meanwhile.
    return Retired(rows=dropped.rows, more=dropped.gone, overdue_ms=overdue_ms)


def _raw(db: Db, before_ms: int, now_ms: int, limit: int) -> Script[Retired]:
    if db.partitioned:
        before_ms = day_start_ms(before_ms)
        dropped = yield from _drop(db, "raw", before_ms, now_ms)
        if dropped is not None:
            return dropped
    again = yield from marks.left(db, "raw", now_ms, limit)
    states: list[tuple[bytes, str | None]] = []
    for key in again:
        known = yield from db.row("raw.state", id=key)
        states.append((key, None if known is None else known[0]))
    yield from marks.done(db, "raw", [key for key, state in states if state != "pending"])
    rows = yield from db.rows(
        "raw.after", after=(yield from marks.find(db, "raw")), before=first_id(before_ms), most=limit
    )
    states += [(bytes(key), state) for key, state in rows]
    # Not applied yet: never deleted. In quarantine: kept as long as the content, and then found by its own index; once
    # it was applied or dismissed it goes like all others (scripts/quarantine.py has it looked at again).
    yield from marks.leave(
        db, "raw", [(key, now_ms + marks.LOOK_AGAIN_MS) for key, state in states if state == "pending"]
    )
    applied = [(key,) for key, state in states if state in ("applied", "dismissed")]
    yield from db.many("raw.delete", applied)
    if rows:
        yield from marks.move(db, "raw", bytes(rows[-1][0]))
    return _walked(rows, limit, changed=len(applied))


def _quarantine(db: Db, before_ms: int, limit: int) -> Script[Retired]:
    rows = yield from db.rows("raw.quarantined", before=first_id(before_ms), most=limit)
    yield from db.many("raw.delete", [(row[0],) for row in rows])
    return _walked(rows, limit)


def _erase(db: Db, kind: RetentionKind, table: str, before_ms: int, limit: int) -> Script[Retired]:
    after = yield from marks.find(db, kind)
    rows = yield from db.rows(f"{table}.after", after=after, before=first_id(before_ms), most=limit)
    if rows:
        last = bytes(rows[-1][0])
        yield from db.run(f"{table}.erase", after=after, last=last)
        yield from marks.move(db, kind, last)
    return _walked(rows, limit)


def _forget(db: Db, table: str, before_ms: int, limit: int) -> Script[Retired]:
    rows = yield from db.rows(f"{table}.after", after=b"", before=first_id(before_ms), most=limit)
    if rows:
        yield from db.run(f"{table}.forget", last=rows[-1][0])
    return _walked(rows, limit)


def _pairs(db: Db, before_ms: int, limit: int) -> Script[Retired]:
    rows = yield from db.rows("pairs.after", after=0, most=limit)
    old = [key for key, received_ms in rows if received_ms is None or received_ms < before_ms]
    if old:
        yield from db.run("pairs.forget", last=old[-1])
    full = len(old) == limit
    return Retired(rows=len(old), more=full, overdue_ms=rows[-1][1] if full else None)
