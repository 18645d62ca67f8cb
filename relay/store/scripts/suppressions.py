"""Opt-outs: looked up by whoever accepts marketing, added by inbound messages and by people."""

from collections.abc import Callable, Sequence

import msgspec

from relay.domain.audit import AuditEntry
from relay.domain.errors import AlreadyExists
from relay.domain.ids import SuppressionId, TeamId, raw_bytes
from relay.domain.suppressions import Suppression
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import audit
from relay.store.scripts import idempotency as once
from relay.store.scripts.numbers import in_parts
from relay.store.scripts.views import before
from relay.store.sealing import KeyRing


def suppressed(db: Db, team: bytes, numbers: Sequence[int]) -> Script[list[int]]:
    """Those of the numbers that have opted out."""
    if (yield from db.row("suppressions.any", team=team)) is None:
        return []
    rows = yield from db.each("suppressions.of_numbers", in_parts(numbers, team=team))
    return [row[0] for row in rows]


def opt_out(db: Db, team: bytes, mobile: int, keyword: str, at_ms: int) -> Script[bool]:
    """The owner of the number wants no more marketing of the team; False when that was known, which stands."""
    suppression = Suppression(
        id=SuppressionId(db.new_id("sup_")),
        team_id=TeamId("team_" + team.hex()),
        mobile=mobile,
        source="inbound",
        keyword=keyword,
        created_ms=at_ms,
    )
    return (yield from _add(db, suppression))


def add(
    db: Db, ring: KeyRing, suppression: Suppression, entry: AuditEntry, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """See ``relay.ports.platform.SuppressionStore``."""
    replay = yield from once.take(db, ring, idempotency)
    if replay is not None:
        return replay
    if not (yield from _add(db, suppression)):
        raise AlreadyExists("This number has opted out already.")
    yield from audit.add(db, entry)
    return Stored()


def add_all(
    db: Db,
    ring: KeyRing,
    suppressions: Sequence[Suppression],
    entry: AuditEntry,
    idempotency: Idempotency | None,
    render: Callable[[int], bytes],
) -> Script[int | Replay]:
    """See ``relay.ports.platform.SuppressionStore``."""
    replay = yield from once.replay_or_none(db, ring, idempotency)
    if replay is not None:
        return replay
    known: set[int] = set()
    if suppressions:
        team = raw_bytes(suppressions[0].team_id)
        known.update((yield from suppressed(db, team, [suppression.mobile for suppression in suppressions])))
    new = [suppression for suppression in suppressions if suppression.mobile not in known]
    yield from db.many("suppressions.insert", [tuple(_columns(suppression).values()) for suppression in new])
    yield from audit.add(db, msgspec.structs.replace(entry, detail={"added": len(new)} | entry.detail))
    if idempotency is not None:
        yield from once.take(db, ring, msgspec.structs.replace(idempotency, answer=render(len(new))))
    return len(new)


def remove(db: Db, suppression: bytes, entry: AuditEntry) -> Script[bool]:
    """See ``relay.ports.platform.SuppressionStore``."""
    if not (yield from db.run("suppressions.delete", id=suppression)):
        return False
    yield from audit.add(db, entry)
    return True


def find(db: Db, suppression: bytes) -> Script[Suppression | None]:
    """One, of whichever team."""
    row = yield from db.row("suppressions.find", id=suppression)
    return None if row is None else _read(row)


def of_number(db: Db, team: bytes, mobile: int) -> Script[Suppression | None]:
    """What a team has of a number."""
    row = yield from db.row("suppressions.of_number", team=team, mobile=mobile)
    return None if row is None else _read(row)


def page(db: Db, team: bytes | None, mobile: int | None, position: str | None, limit: int) -> Script[Page[Suppression]]:
    """Newest first; of one team, of one number, of both, or all."""
    if mobile is not None:
        # By the number they are few: one for each team.
        rows = yield from db.rows("suppressions.list_of_number", mobile=mobile)
        found = [row for row in rows if bytes(row[0]) < before(position) and team in (None, bytes(row[1]))]
        rows = sorted(found, key=lambda row: bytes(row[0]), reverse=True)
    elif team is not None:
        rows = yield from db.rows("suppressions.list_of_team", team=team, before=before(position), most=limit + 1)
    else:
        rows = yield from db.rows("suppressions.list", before=before(position), most=limit + 1)
    return Page(
        data=[_read(row) for row in rows[:limit]],
        next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None,
    )


def _add(db: Db, suppression: Suppression) -> Script[bool]:
    return (yield from db.row("suppressions.add", **_columns(suppression))) is not None


def _columns(suppression: Suppression) -> dict[str, object]:
    """In the order in which the queries name them."""
    return {
        "id": raw_bytes(suppression.id),
        "team": raw_bytes(suppression.team_id),
        "mobile": suppression.mobile,
        "source": suppression.source,
        "keyword": suppression.keyword,
        "created_ms": suppression.created_ms,
    }


def _read(row: Row) -> Suppression:
    return Suppression(
        id=SuppressionId("sup_" + bytes(row[0]).hex()),
        team_id=TeamId("team_" + bytes(row[1]).hex()),
        mobile=row[2],
        source=row[3],
        keyword=row[4],
        created_ms=row[5],
    )
