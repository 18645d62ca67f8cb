"""Provider accounts and their callback tokens."""

from typing import Final

import msgspec

from relay.domain.accounts import Account, CodeRule, PwdCase
from relay.domain.audit import AuditEntry
from relay.domain.errors import AlreadyExists
from relay.domain.ids import AccountId, raw_bytes
from relay.domain.teams import hash_secret
from relay.ports import Idempotency, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import audit
from relay.store.scripts import idempotency as once
from relay.store.sealed import password_place as _place
from relay.store.sealing import KeyRing


class _AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an account that only the gateway reads, kept as one JSON text."""

    pwd_case: PwdCase
    max_mobiles: int
    requests_per_s: float
    connections: int
    timeout_s: float
    pull_reports: bool
    pull_inbound: bool
    pull_interval_s: float
    callback_allow: tuple[str, ...]
    callback_proxies: int
    weight: int
    task_id_dedup: bool
    codes: dict[str, CodeRule]
    low_balance: int | None = None
    extension_digits: int | None = None


_SETTINGS: Final = msgspec.json.Decoder(_AccountSettings)
_encode = msgspec.json.encode


def create_account(
    db: Db, ring: KeyRing, account: Account, callback_token: str, entry: AuditEntry, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """The password is sealed, the callback token hashed."""
    replay = yield from once.take(db, ring, idempotency)
    if replay is not None:
        return replay
    if (yield from db.row("accounts.by_name", name=account.name)) is not None:
        raise AlreadyExists("There is an account of this name.")
    key = raw_bytes(account.id)
    settings = _AccountSettings(**{name: getattr(account, name) for name in _AccountSettings.__struct_fields__})
    yield from db.put(
        "accounts.insert",
        id=key,
        name=account.name,
        base_url=account.base_url,
        account=account.account,
        password_sealed=ring.seal(account.password_md5.encode(), place=_place(key)),
        settings=_encode(settings).decode(),
        sandbox=int(account.sandbox),
        disabled=int(account.disabled),
        created_ms=account.created_ms,
    )
    yield from db.put("tokens.insert", hash=hash_secret(callback_token), account=key, created_ms=account.created_ms)
    yield from audit.add(db, entry)
    return Stored()


def accounts(db: Db, ring: KeyRing) -> Script[list[Account]]:
    """All, oldest first, credentials in clear."""
    rows = yield from db.rows("accounts.all")
    return [_account(ring, row) for row in rows]


def _account(ring: KeyRing, row: Row) -> Account:
    key = bytes(row[0])
    settings = _SETTINGS.decode(row[5])
    return Account(
        id=AccountId("acct_" + key.hex()),
        name=row[1],
        base_url=row[2],
        account=row[3],
        password_md5=ring.open(bytes(row[4]), place=_place(key)).decode(),
        sandbox=bool(row[6]),
        disabled=bool(row[7]),
        created_ms=row[8],
        version=row[9],
        **{name: getattr(settings, name) for name in _AccountSettings.__struct_fields__},
    )


def callback_tokens(db: Db) -> Script[dict[bytes, AccountId]]:
    """Hash of each live token, and whose it is."""
    rows = yield from db.rows("tokens.all")
    return {bytes(row[0]): AccountId("acct_" + bytes(row[1]).hex()) for row in rows}
