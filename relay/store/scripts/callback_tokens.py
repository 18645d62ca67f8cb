"""Callback tokens: known by their hash alone, at most two of an account live at once."""

from relay.domain.accounts import TOKEN_ID_BYTES, CallbackToken
from relay.domain.audit import AuditEntry
from relay.domain.errors import NotFound
from relay.domain.ids import AccountId, raw_bytes
from relay.domain.teams import hash_secret
from relay.ports import Idempotency, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import audit
from relay.store.scripts import idempotency as once
from relay.store.sealing import KeyRing


def tokens(db: Db) -> Script[dict[bytes, CallbackToken]]:
    """All, by their hash, those that are over included."""
    rows = yield from db.rows("tokens.all")
    return {bytes(row[0]): _token(row) for row in rows}


def of_account(db: Db, account: bytes) -> Script[dict[bytes, CallbackToken]]:
    """An account's, oldest first."""
    rows = yield from db.rows("tokens.of_account", account=account)
    # There are two or three.
    return {bytes(row[0]): _token(row) for row in sorted(rows, key=lambda row: (row[2], bytes(row[0])))}


def _token(row: Row) -> CallbackToken:
    return CallbackToken(account_id=AccountId("acct_" + bytes(row[1]).hex()), created_ms=row[2], expires_ms=row[3])


def rotate(
    db: Db,
    ring: KeyRing,
    account_id: AccountId,
    token: str,
    *,
    now_ms: int,
    expires_ms: int,
    entry: AuditEntry,
    idempotency: Idempotency | None,
) -> Script[Stored | Replay]:
    """A new token; the newest of the others lives until ``expires_ms`` at most, all older ones end now. Raises
    NotFound."""
    replay = yield from once.take(db, ring, idempotency)
    if replay is not None:
        return replay
    key = raw_bytes(account_id)
    if (yield from db.row("accounts.find", id=key)) is None:
        raise NotFound("There is no such account.")
    before = yield from of_account(db, key)
    # The newest is the one that nothing ends yet, should two have been made in one millisecond.
    order = sorted(before, key=lambda found: (before[found].expires_ms is None, before[found].created_ms, found))
    for number, token_hash in enumerate(order, 1):
        ends_ms = min(expires_ms, before[token_hash].expires_ms or expires_ms)
        if number < len(order) or ends_ms <= now_ms:
            yield from db.run("tokens.delete", hash=token_hash)
        else:
            yield from db.run("tokens.expire", hash=token_hash, expires_ms=ends_ms)
    yield from db.put("tokens.insert", hash=hash_secret(token), account=key, created_ms=now_ms)
    yield from audit.add(db, entry)
    return Stored()


def revoke(db: Db, account: bytes, token_id: str, entry: AuditEntry) -> Script[bool]:
    """The token ends now. False when there is none of this id."""
    found = [known for known in (yield from of_account(db, account)) if known[:TOKEN_ID_BYTES].hex() == token_id]
    for token_hash in found:
        yield from db.run("tokens.delete", hash=token_hash)
    if found:
        yield from audit.add(db, entry)
    return bool(found)
