"""How far a kind of rows has been walked, and what was left behind because its time had not come."""

from collections.abc import Iterable
from typing import Final

from relay.domain.retention import RetentionKind
from relay.domain.times import HOUR_MS
from relay.store.script import Db, Script

LOOK_AGAIN_MS: Final = HOUR_MS
"""What is left behind is looked at again after this time, unless it says better."""


def find(db: Db, kind: RetentionKind) -> Script[bytes]:
    """The id up to which ``kind`` has been walked; below every id at first."""
    row = yield from db.row("marks.find", kind=kind)
    return b"" if row is None else bytes(row[0])


def move(db: Db, kind: RetentionKind, last: bytes) -> Script[None]:
    """What is up to ``last`` is done, or left."""
    yield from db.put("marks.set", kind=kind, id=last)


def leave(db: Db, kind: RetentionKind, looks: Iterable[tuple[bytes, int]]) -> Script[None]:
    """Look at these again, each (id, when in ms); also for what was left before."""
    yield from db.many("left.insert", [(kind, key, look_ms) for key, look_ms in looks])


def left(db: Db, kind: RetentionKind, now_ms: int, limit: int) -> Script[list[bytes]]:
    """What was left and is to be looked at now."""
    rows = yield from db.rows("left.due", kind=kind, now_ms=now_ms, most=limit)
    return [bytes(row[0]) for row in rows]


def done(db: Db, kind: RetentionKind, keys: Iterable[bytes]) -> Script[None]:
    """These need no second look."""
    yield from db.many("left.delete", [(kind, key) for key in keys])
