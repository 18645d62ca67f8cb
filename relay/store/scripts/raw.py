"""Raw bodies: stored before or with what they say, applied once."""

from relay.domain.ids import AccountId, RawId, raw_bytes
from relay.domain.provider import RawBody
from relay.ports import PendingRaw, ReceivedBody, StoredEffects
from relay.store.script import Db, Script


def store(db: Db, account: bytes, raw_id: RawId, raw: RawBody, state: str, why: str | None) -> Script[bool]:
    """Keep a body. ``state``: pending, applied or quarantined. False when one of this id is kept already."""
    inserted = yield from db.run(
        "raw.insert",
        id=raw_bytes(raw_id),
        account=account,
        kind=raw.kind,
        source=raw.source,
        content_type=raw.content_type,
        query=raw.query,
        body=raw.body,
        received_ms=raw.received_ms,
        state=state,
        why=why,
    )
    return inserted == 1


def begin(db: Db, account: bytes, raw_id: RawId, raw: RawBody, *, quarantined: bool, empty: bool) -> Script[bool]:
    """Store the body, or take it up again when it was stored as pending; False when it was applied before.

    Also when two do it at once, because the late write of a callback and its replay from the spool may: each statement
    decides by what it changed, never by what was read before. An ``empty`` pull (no rows, nothing unreadable) is
    forgotten: there is one every few seconds.
    """
    key = raw_bytes(raw_id)
    if empty:
        forgotten = yield from db.run("raw.forget", id=key)
        return forgotten == 1 or (yield from db.row("raw.state", id=key)) is None
    state = "quarantined" if quarantined else "applied"
    why = "parts of it cannot be read" if quarantined else None
    if (yield from store(db, account, raw_id, raw, state, why)):
        return True
    taken = yield from db.run("raw.take", id=key, state=state, why=why)
    return taken == 1


def quarantine(db: Db, account: bytes, raw_id: RawId, raw: RawBody, why: str) -> Script[None]:
    """Keep a body that could not be applied."""
    if not (yield from store(db, account, raw_id, raw, "quarantined", why)):
        yield from db.run("raw.set_state", id=raw_bytes(raw_id), state="quarantined", why=why)


def received(raw_id: RawId, results: dict[str, int], *, quarantined: bool, effects: StoredEffects) -> ReceivedBody:
    """The outcome of one body."""
    return ReceivedBody(raw_id=raw_id, results=results, quarantined=quarantined, effects=effects)


def pending(db: Db, limit: int) -> Script[list[PendingRaw]]:
    """Bodies that were stored but not applied, oldest first."""
    rows = yield from db.rows("raw.pending", most=limit)
    return [
        PendingRaw(
            id=RawId("raw_" + bytes(row[0]).hex()),
            account_id=AccountId("acct_" + bytes(row[1]).hex()),
            raw=RawBody(
                kind=row[2],
                source=row[3],
                content_type=row[4],
                query=bytes(row[5]),
                body=bytes(row[6]),
                received_ms=row[7],
            ),
        )
        for row in rows
    ]
