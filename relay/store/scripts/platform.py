"""Accounts, teams and keys."""

from typing import Any, Final

import msgspec

from relay.domain.accounts import Account, BalanceView, CodeRule, PwdCase
from relay.domain.errors import AlreadyExists
from relay.domain.ids import AccountId, KeyId, TeamId, raw_bytes
from relay.domain.provider import Balance
from relay.domain.states import Category
from relay.domain.teams import KeyView, Principal, RecipientLimit, Scope, Team, hash_secret
from relay.domain.times import instant, instant_or_none, to_ms
from relay.ports import Idempotency, NewKey, Page, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import idempotency as keys
from relay.store.scripts.views import before
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


_SETTINGS: Final = msgspec.json.Decoder(_AccountSettings)
_ACCOUNT_IDS: Final = msgspec.json.Decoder(tuple[AccountId, ...])
_LIMITS: Final = msgspec.json.Decoder(dict[Category, RecipientLimit])
_SCOPES: Final = msgspec.json.Decoder(list[Scope])
_encode = msgspec.json.encode


def _place(account: bytes) -> str:
    return f"accounts:password:{account.hex()}"


def create_account(
    db: Db, ring: KeyRing, account: Account, callback_token: str, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """The password is sealed, the callback token hashed."""
    replay = yield from keys.take(db, ring, idempotency)
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
        **{name: getattr(settings, name) for name in _AccountSettings.__struct_fields__},
    )


def callback_tokens(db: Db) -> Script[dict[bytes, AccountId]]:
    """Hash of each live token, and whose it is."""
    rows = yield from db.rows("tokens.all")
    return {bytes(row[0]): AccountId("acct_" + bytes(row[1]).hex()) for row in rows}


def keep_balance(db: Db, account: bytes, balance: Balance, now_ms: int) -> Script[None]:
    """Replace the last known balance."""
    yield from db.put(
        "balances.keep", account=account, amount=balance.amount, prepaid=int(balance.prepaid), as_of_ms=now_ms
    )


def balances(db: Db, account_ids: tuple[AccountId, ...]) -> Script[list[BalanceView]]:
    """In the order asked for; unknown accounts are left out."""
    views: list[BalanceView] = []
    for account_id in account_ids:
        row = yield from db.row("balances.find", account=raw_bytes(account_id))
        if row is not None:
            views.append(
                BalanceView(
                    account_id=account_id,
                    account_name=row[0],
                    balance=row[1],
                    prepaid=None if row[2] is None else bool(row[2]),
                    as_of=instant_or_none(row[3]),
                )
            )
    return views


def create_team(db: Db, ring: KeyRing, team: Team, idempotency: Idempotency | None) -> Script[Stored | Replay]:
    """A team with its leased extensions, which no other team has."""
    replay = yield from keys.take(db, ring, idempotency)
    if replay is not None:
        return replay
    if (yield from db.row("teams.by_name", name=team.name)) is not None:
        raise AlreadyExists("There is a team of this name.")
    for extension in team.extensions:
        if (yield from db.row("extensions.owner", extension=extension)) is not None:
            raise AlreadyExists(f"The extension {extension} is leased to another team.")
    key = raw_bytes(team.id)
    yield from db.put(
        "teams.insert",
        id=key,
        name=team.name,
        signature=team.signature,
        accounts=_encode(team.accounts).decode(),
        quota_units_per_day=team.quota_units_per_day,
        requests_per_s=team.requests_per_s,
        recipient_limits=_encode(team.recipient_limits).decode(),
        created_ms=team.created_ms,
    )
    yield from db.many("extensions.insert", [(extension, key) for extension in team.extensions])
    return Stored()


def team(db: Db, team_id: bytes) -> Script[Team | None]:
    """One team."""
    row = yield from db.row("teams.find", id=team_id)
    return None if row is None else (yield from _team(db, row))


def teams(db: Db, position: str | None, limit: int) -> Script[Page[Team]]:
    """Newest first."""
    rows = yield from db.rows("teams.list", before=before(position), most=limit + 1)
    data: list[Team] = []
    for row in rows[:limit]:
        data.append((yield from _team(db, row)))  # noqa: PERF401 - "yield from" has no place in a comprehension
    return Page(data=data, next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None)


def _team(db: Db, row: Row) -> Script[Team]:
    extensions = yield from db.rows("extensions.of_team", team=row[0])
    return Team(
        id=TeamId("team_" + bytes(row[0]).hex()),
        name=row[1],
        signature=row[2],
        accounts=_ACCOUNT_IDS.decode(row[3]),
        extensions=tuple(found[0] for found in extensions),
        quota_units_per_day=row[4],
        requests_per_s=row[5],
        recipient_limits=_LIMITS.decode(row[6]),
        created_ms=row[7],
    )


def create_key(db: Db, ring: KeyRing, new: NewKey, idempotency: Idempotency | None) -> Script[Stored | Replay]:
    """Only the hash of the secret is kept."""
    replay = yield from keys.take(db, ring, idempotency)
    if replay is not None:
        return replay
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
        expires_ms=None if view.expires_at is None else to_ms(view.expires_at),
    )
    return Stored()


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
    )


def key(db: Db, key_id: bytes) -> Script[KeyView | None]:
    """One key."""
    row = yield from db.row("keys.view", id=key_id)
    return None if row is None else _key(row)


def key_list(db: Db, team_id: bytes | None, position: str | None, limit: int) -> Script[Page[KeyView]]:
    """Newest first, of one team or of all."""
    bound: dict[str, Any] = {"before": before(position), "most": limit + 1}
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
    return Principal(
        key_id=KeyId("key_" + bytes(row[0]).hex()),
        team=owner,
        scopes=frozenset(_SCOPES.decode(row[2])),
        mode=row[3],
        expires_ms=row[4],
    )
