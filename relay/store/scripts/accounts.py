"""Provider accounts."""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.accounts import Account, CodeRule, Credentials, PwdCase
from relay.domain.audit import AuditEntry
from relay.domain.errors import AlreadyExists, BodyInvalid, FieldError, InUse, NotFound, PreconditionFailed
from relay.domain.ids import AccountId, first_id, raw_bytes
from relay.domain.teams import hash_secret
from relay.domain.times import SECOND_MS
from relay.ports import Idempotency, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import audit
from relay.store.scripts import idempotency as once
from relay.store.sealed import fallback_place, password_place
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


_LATELY: Final = 10_000
"""How many of the newest submissions show that an account is in use. Bounded, because no index says which account ever
had one: the answer takes no longer on a large table."""
_KNOWN_MS: Final = 30 * SECOND_MS
"""Every gateway knows by then that an account is disabled."""
_MD5_DIGITS: Final = 32


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
    yield from db.put(
        "accounts.insert",
        id=key,
        name=account.name,
        base_url=account.base_url,
        account=account.account,
        password_sealed=ring.seal(account.password_md5.encode(), place=password_place(key)),
        password_ref=account.password_ref,
        settings=_settings_text(account),
        sandbox=int(account.sandbox),
        disabled=int(account.disabled),
        created_ms=account.created_ms,
    )
    yield from db.put("tokens.insert", hash=hash_secret(callback_token), account=key, created_ms=account.created_ms)
    yield from audit.add(db, entry)
    return Stored()


def change_account(
    db: Db, ring: KeyRing, account: Account, entry: AuditEntry, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """Write all of it over version ``account.version``. Raises PreconditionFailed when that is not the present one."""
    replay = yield from once.take(db, ring, idempotency)
    if replay is not None:
        return replay
    key = raw_bytes(account.id)
    named = yield from db.row("accounts.by_name", name=account.name)
    if named is not None and bytes(named[0]) != key:
        raise AlreadyExists("There is an account of this name.")
    fallback = account.fallback
    changed = yield from db.run(
        "accounts.change",
        id=key,
        version=account.version,
        name=account.name,
        base_url=account.base_url,
        account=account.account,
        password_sealed=ring.seal(account.password_md5.encode(), place=password_place(key)),
        password_ref=account.password_ref,
        fallback_sealed=None
        if fallback is None
        else ring.seal((fallback.password_md5 + fallback.account).encode(), place=fallback_place(key)),
        fallback_until_ms=None if fallback is None else account.fallback_until_ms,
        settings=_settings_text(account),
        disabled=int(account.disabled),
    )
    if not changed:
        raise PreconditionFailed("The account was changed since it was read.")
    yield from audit.add(db, entry)
    return Stored()


def delete_account(
    db: Db, ring: KeyRing, account_id: AccountId, version: int | None, entry: AuditEntry, now_ms: int
) -> Script[None]:
    """Its row stays for the history, without name, credentials and callback tokens. Raises NotFound, InUse, and
    PreconditionFailed when its version is not ``version`` (None: any)."""
    key = raw_bytes(account_id)
    row = yield from db.row("accounts.find", id=key)
    if row is None:
        raise NotFound("There is no such account.")
    account = _account(ring, row)
    if version is not None and account.version != version:
        raise PreconditionFailed("The account was changed since it was read.")
    yield from _check_unused(db, account, now_ms)
    yield from db.run(
        "accounts.delete",
        id=key,
        # The name is free again.
        name=f"{account.name} ({account.id})",
        password_sealed=ring.seal(b"", place=password_place(key)),
        now_ms=now_ms,
    )
    yield from db.run("tokens.delete_all", account=key)
    yield from audit.add(db, entry)


def check_known(db: Db, account_ids: Sequence[AccountId], pointer: str) -> Script[None]:
    """For whoever stores that something uses these accounts: none is deleted before that is committed, because both
    take the same lock (``turns.DELETE_ACCOUNT``). Raises BodyInvalid that points at ``pointer``."""
    for account_id in account_ids:
        if (yield from db.row("accounts.find", id=raw_bytes(account_id))) is None:
            raise BodyInvalid(
                "There is no such account.",
                errors=(FieldError(pointer=pointer, detail=f"there is no account {account_id}"),),
            )


def _check_unused(db: Db, account: Account, now_ms: int) -> Script[None]:
    """Raises InUse that says what holds the account."""
    key = raw_bytes(account.id)
    team = yield from db.row("accounts.team_that_names", pattern=f'%"{account.id}"%')
    if team is not None:
        raise InUse(f"The team {team[0]!r} names this account.")
    leased = yield from db.row("accounts.leased_extension", account=key)
    if leased is not None:
        raise InUse(f"The extension {leased[0]} is leased on this account.")
    if (yield from db.row("accounts.waiting", account=key)) is not None:
        raise InUse("Messages wait to be sent by this account.")
    if (yield from db.row("accounts.running", account=key)) is not None:
        raise InUse("A message is being sent by this account.")
    if (yield from db.row("accounts.open", account=key)) is not None:
        raise InUse("Reports of messages that this account sent are still to come.")
    # Decision: an account that takes traffic is disabled first, because others may choose it until they know better.
    since_ms = now_ms - _KNOWN_MS if account.disabled else 0
    used = yield from db.row("accounts.used_lately", account=key, since_id=first_id(since_ms), most=_LATELY)
    if used is not None and account.disabled:
        raise InUse("This account had messages a moment ago, and others may not know yet: try again in half a minute.")
    if used is not None:
        raise InUse("This account has sent messages lately: disable it first.")


def forget_expired(db: Db, now_ms: int) -> Script[None]:
    """Fall-backs and callback tokens whose time is over are no longer there."""
    yield from db.run("accounts.forget_fallbacks", now_ms=now_ms)
    yield from db.run("tokens.forget", now_ms=now_ms)


def accounts(db: Db, ring: KeyRing) -> Script[list[Account]]:
    """All, oldest first, credentials in clear."""
    rows = yield from db.rows("accounts.all")
    return [_account(ring, row) for row in rows]


def account(db: Db, ring: KeyRing, account_id: bytes) -> Script[Account | None]:
    """One, credentials in clear."""
    row = yield from db.row("accounts.find", id=account_id)
    return None if row is None else _account(ring, row)


def _settings_text(account: Account) -> str:
    settings = _AccountSettings(**{name: getattr(account, name) for name in _AccountSettings.__struct_fields__})
    return _encode(settings).decode()


def _account(ring: KeyRing, row: Row) -> Account:
    key = bytes(row[0])
    settings = _SETTINGS.decode(row[5])
    return Account(
        id=AccountId("acct_" + key.hex()),
        name=row[1],
        base_url=row[2],
        account=row[3],
        password_md5=ring.open(bytes(row[4]), place=password_place(key)).decode(),
        sandbox=bool(row[6]),
        disabled=bool(row[7]),
        created_ms=row[8],
        version=row[9],
        password_ref=row[10],
        fallback=None if row[11] is None else _fallback(ring, key, bytes(row[11])),
        fallback_until_ms=row[12],
        **{name: getattr(settings, name) for name in _AccountSettings.__struct_fields__},
    )


def _fallback(ring: KeyRing, key: bytes, sealed: bytes) -> Credentials:
    plain = ring.open(sealed, place=fallback_place(key)).decode()
    return Credentials(account=plain[_MD5_DIGITS:], password_md5=plain[:_MD5_DIGITS])
