"""The key ring in the database: marks, holders, and the walk over all sealed values."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from relay.domain.audit import AuditEntry
from relay.domain.errors import KeyRingError
from relay.domain.keyring import KeyHolder, KeyMark
from relay.domain.times import SECOND_MS
from relay.ports.values import SealedPosition
from relay.store.script import Db, Row, Script
from relay.store.scripts import audit
from relay.store.sealed import SEALED, SealedColumn, mark_place
from relay.store.sealing import KeyRing, head_of, sealing_key

LIVES_MS: Final = 30 * SECOND_MS
"""A gateway that has not said for so long which keys it has is dead, or frozen: then it looks before it seals."""
UNREADABLE: Final = "?"
"""In place of the key id of a value that does not even begin like one."""
_MARK: Final = b"relay"
_VERIFIED: Final = 500
_IDS: Final = msgspec.json.Decoder(tuple[str, ...])


class Seen(msgspec.Struct, kw_only=True):
    """What one batch of the walk saw. ``counts``: values by table and key id. ``stale``: what another key than the
    active one sealed, and ``new``, what takes its place; None when it does not open."""

    column: SealedColumn
    counts: dict[str, dict[str, int]]
    stale: list[tuple[tuple[Any, ...], bytes, bytes | None]]
    next_position: SealedPosition | None


def check(db: Db, ring: KeyRing) -> Script[tuple[set[str], list[str]]]:
    """The keys whose marks are here and that the ring lacks; and those of the ring that have no mark yet. Raises
    KeyRingError for a key that is another one under the same id."""
    rows = yield from db.rows("ringmarks.all")
    marked = {row[0]: bytes(row[1]) for row in rows}
    for key_id in ring.key_ids:
        if key_id in marked and not _opens(ring, key_id, marked[key_id]):
            raise KeyRingError(
                f"the key {key_id!r} of the key ring is not the one that sealed this database under that id: "
                "restore the key ring that belongs to it"
            )
    lacking = set(marked) - set(ring.key_ids)
    if lacking and lacking == set(marked):
        raise KeyRingError(missing_keys(lacking))
    return lacking, [key_id for key_id in ring.key_ids if key_id not in marked]


def missing_keys(key_ids: Collection[str]) -> str:
    """The words for values whose keys are not here."""
    names = ", ".join(map(repr, sorted(key_ids)))
    return (
        f"the key ring lacks {names}, which sealed values in this database: put the lines of these keys back, behind "
        "the first one, or restore the key ring that belongs to this database"
    )


def admit(db: Db, ring: KeyRing, now_ms: int) -> Script[bool]:
    """Leave a mark for each key of the ring that has none. False, and nothing is written, when the ring lacks a key: as
    another process may just have brought one. The keys that a database sees first have been in use before."""
    lacking, unmarked = yield from check(db, ring)
    if lacking:
        return False
    first = len(unmarked) == len(ring.key_ids)
    yield from _mark(db, ring, unmarked, now_ms, activated=first)
    return True


def mark_anyway(db: Db, ring: KeyRing, now_ms: int) -> Script[None]:
    """The same for a ring that lacks only keys that no value needs."""
    _, unmarked = yield from check(db, ring)
    yield from _mark(db, ring, unmarked, now_ms, activated=False)


def marks(db: Db) -> Script[tuple[KeyMark, ...]]:
    """All."""
    rows = yield from db.rows("ringmarks.all")
    return tuple([KeyMark(key_id=row[0], created_ms=row[2], activated_ms=row[3]) for row in rows])


def activate(db: Db, key_id: str, entry: AuditEntry) -> Script[bool]:
    """The key seals from now on; False when that was known."""
    if not (yield from db.run("ringmarks.activate", key_id=key_id, now_ms=entry.at_ms)):
        return False
    yield from audit.add(db, entry)
    return True


def forget(db: Db, key_id: str, entry: AuditEntry | None) -> Script[None]:
    """The key is not looked for any more."""
    if (yield from db.run("ringmarks.delete", key_id=key_id)) and entry is not None:
        yield from audit.add(db, entry)


def tell(db: Db, holder: bytes, name: str, key_ids: tuple[str, ...]) -> Script[None]:
    """This process lives, and has these keys. Those of the dead go."""
    now_ms = yield from _now_ms(db)
    yield from db.run(
        "ringholders.keep", id=holder, name=name, key_ids=msgspec.json.encode(key_ids).decode(), seen_ms=now_ms
    )
    yield from db.run("ringholders.delete_old", before_ms=now_ms - LIVES_MS)


def leave(db: Db, holder: bytes) -> Script[None]:
    """This process ends."""
    yield from db.run("ringholders.delete", id=holder)


def holders(db: Db) -> Script[tuple[KeyHolder, ...]]:
    """Who lives."""
    now_ms = yield from _now_ms(db)
    rows = yield from db.rows("ringholders.all", after_ms=now_ms - LIVES_MS)
    return tuple(
        [
            KeyHolder(name=row[0], key_ids=_IDS.decode(row[1]), seen_s=max(0, now_ms - row[2]) / SECOND_MS)
            for row in rows
        ]
    )


def look(db: Db, ring: KeyRing | None, position: SealedPosition | None, limit: int) -> Script[Seen]:
    """The next ``limit`` values. With a ``ring``: what is to take the place of those that it has not sealed with its
    active key."""
    place = position or SealedPosition(column=0, after=SEALED[0].first)
    column = SEALED[place.column]
    head = b"" if ring is None else head_of(ring.active)
    bound: dict[str, Any] = dict(zip(column.keys, place.after, strict=True))
    rows = yield from db.rows(f"sealed.{column.short}", head=head, size=len(head), most=limit, **bound)
    seen = Seen(column=column, counts={}, stale=[], next_position=_next(place, column, rows, limit))
    counts = seen.counts.setdefault(column.table, {})
    for row in rows:
        if row[-2] is None:
            continue
        key_id = _key_of(bytes(row[-2]))
        counts[key_id] = counts.get(key_id, 0) + 1
        if ring is not None and row[-1] is not None:
            key, old = _key(column, row), bytes(row[-1])
            seen.stale.append((key, old, _sealed_anew(ring, old, column.place(*key))))
    return seen


def verify(db: Db, ring: KeyRing) -> Script[None]:
    """For a database without marks, as the release before left it: what seals its accounts and endpoints must be here.
    Raises KeyRingError."""
    for column in SEALED:
        if column.grows:
            continue
        bound: dict[str, Any] = dict(zip(column.keys, column.first, strict=True))
        # Nothing of length 0 is "-": all of them come whole.
        rows = yield from db.rows(f"sealed.{column.short}", head=b"-", size=0, most=_VERIFIED, **bound)
        for row in rows:
            if row[-1] is not None:
                ring.open(bytes(row[-1]), place=column.place(*_key(column, row)))


def reseal(db: Db, seen: Seen) -> Script[int]:
    """Put the new values in the places of the old ones; how many. What was changed meanwhile stays."""
    names = (*seen.column.keys, "old", "new")
    found = yield from db.each(
        f"reseal.{seen.column.short}",
        [dict(zip(names, (*key, old, new), strict=True)) for key, old, new in seen.stale if new is not None],
    )
    return len(found)


def _opens(ring: KeyRing, key_id: str, mark: bytes) -> bool:
    try:
        return ring.open(mark, place=mark_place(key_id)) == _MARK
    except KeyRingError:
        return False


def _mark(db: Db, ring: KeyRing, key_ids: list[str], now_ms: int, *, activated: bool) -> Script[None]:
    for key_id in key_ids:
        yield from db.run(
            "ringmarks.insert",
            key_id=key_id,
            sealed=ring.seal_with(key_id, _MARK, place=mark_place(key_id)),
            created_ms=now_ms,
            activated_ms=now_ms if activated else None,
        )


def _now_ms(db: Db) -> Script[int]:
    row = yield from db.row("clock.now_ms")
    if row is None:
        raise LookupError("the database has no clock")
    return int(row[0])


def _key_of(beginning: bytes) -> str:
    try:
        return sealing_key(beginning)
    except KeyRingError:
        return UNREADABLE


def _key(column: SealedColumn, row: Row) -> tuple[Any, ...]:
    return tuple(row[: len(column.keys)])


def _sealed_anew(ring: KeyRing, old: bytes, place: str) -> bytes | None:
    try:
        return ring.seal(ring.open(old, place=place), place=place)
    except KeyRingError:
        return None


def _next(place: SealedPosition, column: SealedColumn, rows: list[Row], limit: int) -> SealedPosition | None:
    if len(rows) == limit:
        return SealedPosition(column=place.column, after=_key(column, rows[-1]))
    if place.column + 1 < len(SEALED):
        return SealedPosition(column=place.column + 1, after=SEALED[place.column + 1].first)
    return None
