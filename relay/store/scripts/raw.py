"""Raw bodies: stored before or with what they say, applied once."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar, assert_never

import msgspec

from relay.domain.ids import AccountId, RawId, raw_bytes
from relay.domain.provider import InboundRow, RawBody, Reading, ReportRow
from relay.ports import PendingRaw, ReceivedBody, StoredEffects
from relay.store.script import Db, Script

Said = TypeVar("Said", ReportRow, InboundRow)
_TALLY: Final = msgspec.json.Decoder(dict[str, int])
NOTHING_APPLIED: Final = "{}"
PARTS_UNREADABLE: Final = "parts of it cannot be read"


def store(
    db: Db, account: bytes, raw_id: RawId, raw: RawBody, state: str, why: str | None, applied: str | None = None
) -> Script[bool]:
    """Keep a body. ``state``: pending, applied, quarantined or dismissed. ``applied``: see ``tally``. False when one of
    this id is kept already."""
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
        applied=applied,
    )
    return inserted == 1


def digest_of(row: ReportRow | InboundRow) -> str:
    """What tells a row of a body from the others: what it says, as it came."""
    said: tuple[str | None, ...]
    match row:
        case ReportRow():
            said = (row.task_id, row.mobile_text, row.raw_status, row.raw_time)
        case InboundRow():
            said = (row.mobile_text, row.text, row.extension, row.raw_time)
        case _:
            assert_never(row)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:32]


def not_in(tallied: str, rows: Sequence[Said]) -> list[Said]:
    """The rows that ``tally`` has not counted, in order."""
    left = _TALLY.decode(tallied)
    new: list[Said] = []
    for row in rows:
        digest = digest_of(row)
        if left.get(digest, 0):
            left[digest] -= 1
        else:
            new.append(row)
    return new


def tally(rows: Iterable[ReportRow | InboundRow], before: str = NOTHING_APPLIED) -> str:
    """How many rows of each digest were applied, with those of ``before``: so that none is applied again when what
    could not be read of their body is read later."""
    return msgspec.json.encode(Counter(_TALLY.decode(before)) + Counter(map(digest_of, rows))).decode()


def begin(
    db: Db, account: bytes, raw_id: RawId, raw: RawBody, reading: Reading[ReportRow] | Reading[InboundRow]
) -> Script[bool]:
    """Store the body, or take it up again when it was stored as pending; False when it was applied before.

    Also when two do it at once, because the late write of a callback and its replay from the spool may: each statement
    decides by what it changed, never by what was read before. An empty pull (no rows, nothing unreadable) is
    forgotten: there is one every few seconds.
    """
    key = raw_bytes(raw_id)
    quarantined = reading.unreadable > 0
    if not reading.rows and not quarantined and raw.source == "pull":
        forgotten = yield from db.run("raw.forget", id=key)
        return forgotten == 1 or (yield from db.row("raw.state", id=key)) is None
    state = "quarantined" if quarantined else "applied"
    why = PARTS_UNREADABLE if quarantined else None
    applied = tally(reading.rows) if quarantined else None
    if (yield from store(db, account, raw_id, raw, state, why, applied)):
        return True
    taken = yield from db.run("raw.take", id=key, state=state, why=why, applied=applied)
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
