"""API keys."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay.domain.audit import AuditEntry
from relay.domain.ids import KeyId, TeamId, raw_bytes
from relay.domain.keys import KeyView
from relay.domain.teams import Principal, Scope
from relay.domain.times import instant, instant_or_none, ms_or_none, to_ms
from relay.ports import Idempotency, NewKey, Page, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import audit
from relay.store.scripts import idempotency as once
from relay.store.scripts.teams import team
from relay.store.scripts.views import before
from relay.store.sealing import KeyRing

_SCOPES: Final = msgspec.json.Decoder(list[Scope])
_encode = msgspec.json.encode


def create_key(
    db: Db, ring: KeyRing, new: NewKey, entry: AuditEntry, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """Only the hash of the secret is kept."""
    replay = yield from once.take(db, ring, idempotency)
    if replay is not None:
        return replay
    yield from _insert(db, new)
    yield from audit.add(db, entry)
    return Stored()


def change_key(
    db: Db,
    ring: KeyRing,
    before: KeyView,
    after: KeyView,
    successor: NewKey | None,
    entry: AuditEntry,
    idempotency: Idempotency | None,
) -> Script[Stored | Replay | None]:
    """Name, expiry and revocation, if it still is as ``before``; and in the same transaction its successor."""
    row = yield from db.row("keys.view", id=raw_bytes(before.id))
    if row is None or _unused(_key(row)) != _unused(before):
        return None
    replay = yield from once.take(db, ring, idempotency)
    if replay is not None:
        return replay
    yield from db.put(
        "keys.change",
        id=raw_bytes(after.id),
        name=after.name,
        expires_ms=ms_or_none(after.expires_at),
        revoked_ms=ms_or_none(after.revoked_at),
    )
    if successor is not None:
        yield from _insert(db, successor)
    yield from audit.add(db, entry)
    return Stored()


def _unused(view: KeyView) -> KeyView:
    return msgspec.structs.replace(view, last_used_at=None)


def _insert(db: Db, new: NewKey) -> Script[None]:
    view = new.view
    yield from db.put(
        "keys.insert",
        id=raw_bytes(view.id),
        hash=new.hash,
        team=None if view.team_id is None else raw_bytes(view.team_id),
        name=view.name,
        hint=view.hint,
        scopes=_encode(view.scopes).decode(),
        mode=view.mode,
        created_ms=to_ms(view.created_at),
        expires_ms=ms_or_none(view.expires_at),
    )


def note_uses(db: Db, uses: Mapping[KeyId, int]) -> Script[None]:
    """When keys were used last, in ms."""
    # In one order, so that two replicas do not wait for each other; the query names first what is set.
    yield from db.many("keys.use", [(uses[key_id], raw_bytes(key_id)) for key_id in sorted(uses)])


def _key(row: Row) -> KeyView:
    return KeyView(
        id=KeyId("key_" + bytes(row[0]).hex()),
        team_id=None if row[1] is None else TeamId("team_" + bytes(row[1]).hex()),
        name=row[2],
        hint=row[3],
        scopes=_SCOPES.decode(row[4]),
        mode=row[5],
        created_at=instant(row[6]),
        expires_at=instant_or_none(row[7]),
        last_used_at=instant_or_none(row[8]),
        revoked_at=instant_or_none(row[9]),
    )


def key(db: Db, key_id: bytes) -> Script[KeyView | None]:
    """One key."""
    row = yield from db.row("keys.view", id=key_id)
    return None if row is None else _key(row)


def find_key(db: Db, key_hash: bytes) -> Script[KeyView | None]:
    """The key with this hash, also when it was revoked."""
    row = yield from db.row("keys.view_of_hash", hash=key_hash)
    return None if row is None else _key(row)


def key_list(
    db: Db, team_id: bytes | None, position: str | None, limit: int, *, include_revoked: bool
) -> Script[Page[KeyView]]:
    """Newest first, of one team or of all."""
    bound: dict[str, Any] = {"before": before(position), "most": limit + 1, "revoked": int(include_revoked)}
    if team_id is None:
        rows = yield from db.rows("keys.list", **bound)
    else:
        rows = yield from db.rows("keys.list_of_team", team=team_id, **bound)
    return Page(
        data=[_key(row) for row in rows[:limit]],
        next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None,
    )


def find_principal(db: Db, key_hash: bytes) -> Script[Principal | None]:
    """Who has this key; nobody once it is revoked."""
    row = yield from db.row("keys.by_hash", hash=key_hash)
    if row is None or row[5] is not None:
        return None
    owner = None if row[1] is None else (yield from team(db, row[1]))
    if owner is None and row[1] is not None:
        # Of a team that was deleted while the key was made; without a team it would be the platform's.
        return None
    return Principal(
        key_id=KeyId("key_" + bytes(row[0]).hex()),
        team=owner,
        scopes=frozenset(_SCOPES.decode(row[2])),
        mode=row[3],
        expires_ms=row[4],
    )
