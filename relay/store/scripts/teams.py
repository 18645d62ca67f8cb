"""Teams and their extensions."""

from typing import Final

import msgspec

from relay.domain.audit import AuditEntry
from relay.domain.errors import AlreadyExists
from relay.domain.ids import AccountId, TeamId, raw_bytes
from relay.domain.states import Category
from relay.domain.teams import AccountPolicy, RecipientLimit, Team
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store.script import Db, Row, Script
from relay.store.scripts import audit
from relay.store.scripts import idempotency as once
from relay.store.scripts.views import before
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


def create_team(
    db: Db, ring: KeyRing, team: Team, entry: AuditEntry, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """A team with its leased extensions, which no other team has."""
    replay = yield from once.take(db, ring, idempotency)
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
        settings=_encode(settings_of(team)).decode(),
    )
    yield from db.many("extensions.insert", [(extension, key) for extension in team.extensions])
    yield from audit.add(db, entry)
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
    settings = _SETTINGS.decode(row[8])
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
        account_policy=settings.account_policy,
        dedupe_window_s=settings.dedupe_window_s,
        version=row[9],
    )
