"""Idempotency keys, stored in the transaction that stores what they protect."""

from relay.domain.errors import IdempotencyKeyReused
from relay.ports import Idempotency, Replay
from relay.store.script import Db, Script
from relay.store.sealed import answer_place as _place
from relay.store.sealing import KeyRing


def find(db: Db, ring: KeyRing, scope: str, key: str, fingerprint: bytes) -> Script[Replay | None]:
    """The answer given before; None for a new key. Raises IdempotencyKeyReused for another request."""
    row = yield from db.row("idempotency.find", scope=scope, key=key)
    if row is None:
        return None
    if bytes(row[0]) != fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another request. Take a new key.")
    return Replay(status=row[1], answer=ring.open(bytes(row[2]), place=_place(scope, key)))


def take(db: Db, ring: KeyRing, use: Idempotency | None) -> Script[Replay | None]:
    """Take the key for this request and remember the answer; it is sealed, because it may show a secret once. When
    another request has the key: the answer given to it. Raises IdempotencyKeyReused."""
    if use is None:
        return None
    taken = yield from db.row(
        "idempotency.take",
        scope=use.scope,
        key=use.key,
        fingerprint=use.fingerprint,
        status=use.status,
        answer_sealed=ring.seal(use.answer, place=_place(use.scope, use.key)),
        created_ms=use.created_ms,
    )
    return None if taken is not None else (yield from find(db, ring, use.scope, use.key, use.fingerprint))


def keep_answer(db: Db, ring: KeyRing, use: Idempotency) -> Script[None]:
    """Replace the remembered answer."""
    yield from db.put(
        "idempotency.keep_answer",
        scope=use.scope,
        key=use.key,
        fingerprint=use.fingerprint,
        status=use.status,
        answer_sealed=ring.seal(use.answer, place=_place(use.scope, use.key)),
    )


def replay_or_none(db: Db, ring: KeyRing, use: Idempotency | None) -> Script[Replay | None]:
    """``find`` for an optional key."""
    if use is None:
        return None
    return (yield from find(db, ring, use.scope, use.key, use.fingerprint))
