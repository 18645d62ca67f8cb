"""Teams and their extensions."""

from typing import Final

import msgspec

from relay.domain.audit import AuditEntry
from relay.domain.errors import AlreadyExists, InUse
from relay.domain.extensions import accounts_of, follow
from relay.domain.ids import AccountId, EndpointId, TeamId, first_id, raw_bytes
from relay.domain.quotas import QuotaDay
from relay.domain.states import Category
from relay.domain.teams import AccountPolicy, RecipientLimit, Team
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import accounts, audit
from relay.store.scripts import extensions as leases
from relay.store.scripts import idempotency as once
from relay.store.scripts.subscriptions import delete_endpoint
from relay.store.scripts.views import before as before_position
from relay.store.sealing import KeyRing

_ACCOUNT_IDS: Final = msgspec.json.Decoder(tuple[AccountId, ...])
_LIMITS: Final = msgspec.json.Decoder(dict[Category, RecipientLimit])
_encode = msgspec.json.encode


class _TeamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a team that only the gateway reads, kept as one JSON text; what an older release left out is off."""

    account_policy: AccountPolicy = "order"
    dedupe_window_s: int = 0


_SETTINGS: Final = msgspec.json.Decoder(_TeamSettings)


def settings_of(team: Team) -> _TeamSettings:
    """What is kept as JSON."""
    return _TeamSettings(**{name: getattr(team, name) for name in _TeamSettings.__struct_fields__})


def _columns(team: Team) -> dict[str, object]:
    return {
        "id": raw_bytes(team.id),
        "name": team.name,
        "signature": team.signature,
        "accounts": _encode(team.accounts).decode(),
        "quota_units_per_day": team.quota_units_per_day,
        "requests_per_s": team.requests_per_s,
        "recipient_limits": _encode(team.recipient_limits).decode(),
        "settings": _encode(settings_of(team)).decode(),
    }


def create_team(
    db: Db, ring: KeyRing, team: Team, entry: AuditEntry, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """A team with its leased extensions."""
    replay = yield from once.take(db, ring, idempotency)
    if replay is not None:
        return replay
    yield from _check_name(db, team)
    yield from accounts.check_known(db, team.accounts, "/accounts")
    yield from db.put("teams.insert", **_columns(team), created_ms=team.created_ms)
    wanted = accounts_of(team.accounts)
    for extension in team.extensions:
        yield from leases.change(db, raw_bytes(team.id), extension, frozenset(), wanted)
    yield from audit.add(db, entry)
    return Stored()


def _check_name(db: Db, team: Team) -> Script[None]:
    found = yield from db.row("teams.by_name", name=team.name)
    if found is not None and bytes(found[0]) != raw_bytes(team.id):
        raise AlreadyExists("There is a team of this name.")


def update_team(db: Db, before: Team, after: Team, day: QuotaDay, entry: AuditEntry) -> Script[bool]:
    """See ``relay.ports.platform.TeamStore.update_team``."""
    key = raw_bytes(after.id)
    yield from _check_name(db, after)
    if after.accounts != before.accounts:
        yield from accounts.check_known(db, after.accounts, "/accounts")
    changed = yield from db.run("teams.update", **_columns(after), version=before.version)
    if not changed:
        return False
    yield from _change_leases(db, before, after)
    if before.quota_units_per_day is None and after.quota_units_per_day is not None:
        used = yield from units_used(db, key, day, counted=False)
        yield from db.run("quota.set", team=key, day=day.name, units=used)
    yield from audit.add(db, entry)
    return True


def _change_leases(db: Db, before: Team, after: Team) -> Script[None]:
    key, old, new = raw_bytes(after.id), accounts_of(before.accounts), accounts_of(after.accounts)
    held = yield from leases.of_team(db, key)
    # What goes first: one that is given back may be what another takes.
    for extension in held.keys() - set(after.extensions):
        yield from leases.change(db, key, extension, held[extension], frozenset())
    for extension in after.extensions:
        places = held.get(extension, frozenset())
        yield from leases.change(db, key, extension, places, follow(places, old, new) if places else new)


def delete_team(db: Db, team: Team, now_ms: int, entry: AuditEntry) -> Script[list[EndpointId] | None]:
    """See ``relay.ports.platform.TeamStore.delete_team``."""
    key = raw_bytes(team.id)
    # The id makes it a name that nobody has, nor will have.
    changed = yield from db.run(
        "teams.delete", id=key, version=team.version, name=f"{team.name} ({team.id})", now_ms=now_ms
    )
    if not changed:
        return None
    for under_way in ("waits", "submits", "expects"):
        if (yield from db.row(f"teams.{under_way}", team=key)) is not None:
            raise InUse(
                "The team has messages that are not final: cancel what waits, and try again when the rest has come to "
                "its end, which takes three days at most."
            )
    yield from db.run("teams.revoke_keys", team=key, now_ms=now_ms)
    yield from db.run("extensions.release_all", team=key)
    endpoints = [bytes(row[0]) for row in (yield from db.rows("teams.endpoints", team=key))]
    for endpoint in endpoints:
        yield from delete_endpoint(db, key, endpoint, now_ms)
    yield from audit.add(db, entry)
    return [EndpointId("ep_" + endpoint.hex()) for endpoint in endpoints]


def units_used(db: Db, team: bytes, day: QuotaDay, *, counted: bool) -> Script[int]:
    """Of that day. ``counted``: the team has a quota, so there is a count; without one what it sent is added up."""
    if counted:
        row = yield from db.row("quota.used", team=team, day=day.name)
    else:
        row = yield from db.row("quota.accepted", team=team, since_id=first_id(day.starts_ms))
    return 0 if row is None else int(row[0])


def team(db: Db, team_id: bytes) -> Script[Team | None]:
    """One team."""
    row = yield from db.row("teams.find", id=team_id)
    return None if row is None else (yield from _team(db, row))


def teams(db: Db, position: str | None, limit: int) -> Script[Page[Team]]:
    """Newest first."""
    rows = yield from db.rows("teams.list", before=before_position(position), most=limit + 1)
    data: list[Team] = []
    for row in rows[:limit]:
        data.append((yield from _team(db, row)))  # noqa: PERF401 - "yield from" has no place in a comprehension
    return Page(data=data, next_position=bytes(rows[limit - 1][0]).hex() if len(rows) > limit else None)


def _team(db: Db, row: Row) -> Script[Team]:
    held = yield from leases.of_team(db, row[0])
    settings = _SETTINGS.decode(row[8])
    return Team(
        id=TeamId("team_" + bytes(row[0]).hex()),
        name=row[1],
        signature=row[2],
        accounts=_ACCOUNT_IDS.decode(row[3]),
        extensions=tuple(held),
        quota_units_per_day=row[4],
        requests_per_s=row[5],
        recipient_limits=_LIMITS.decode(row[6]),
        created_ms=row[7],
        account_policy=settings.account_policy,
        dedupe_window_s=settings.dedupe_window_s,
        version=row[9],
    )
