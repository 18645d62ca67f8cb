"""Extensions leased by teams: taking and giving them back, and whose answers are."""

from typing import Final

import msgspec

from relay.domain.audit import AuditEntry
from relay.domain.errors import AlreadyExists
from relay.domain.extensions import ExtensionView, Held, Lease, accounts_of, ends_of, overlap, view_of
from relay.domain.ids import AccountId, TeamId, raw_bytes
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store.script import Db, Script
from relay.store.scripts import accounts, audit
from relay.store.scripts import idempotency as once
from relay.store.sealing import KeyRing

_EVERYWHERE: Final = bytes(16)
_encode = msgspec.json.encode


def _raw(account_id: AccountId | None) -> bytes:
    return _EVERYWHERE if account_id is None else raw_bytes(account_id)


def _account(raw: bytes) -> AccountId | None:
    return None if raw == _EVERYWHERE else AccountId("acct_" + raw.hex())


def leading(db: Db, port: str) -> Script[list[Lease]]:
    """Every lease, on whatever account, of something that this number ends in."""
    rows = yield from db.rows("extensions.of_ends", ends=_encode(ends_of(port)).decode())
    return [
        Lease(extension=row[0], account_id=_account(bytes(row[1])), team_id=TeamId("team_" + bytes(row[2]).hex()))
        for row in rows
    ]


def of_team(db: Db, team: bytes) -> Script[dict[str, Held]]:
    """Where a team has leased each of its extensions, in their order."""
    held: dict[str, Held] = {}
    for extension, account in (yield from db.rows("extensions.of_team", team=team)):
        held[extension] = held.get(extension, frozenset()) | {_account(bytes(account))}
    return held


def change(db: Db, team: bytes, extension: str, before: Held, after: Held) -> Script[None]:
    """The team's lease of one extension is now ``after``. Raises AlreadyExists when another's holds there."""
    if before == after:
        return
    for account_id in before - after:
        yield from db.put("extensions.release", extension=extension, account=_raw(account_id), team=team)
    new = after - before
    for lease in (yield from leading(db, extension)):
        other = raw_bytes(lease.team_id) != team and lease.extension == extension
        if other and overlap(new, frozenset({lease.account_id})):
            raise AlreadyExists(f"The extension {extension} is leased to another team.")
    yield from db.many("extensions.insert", [(extension, _raw(account_id), team) for account_id in new])


def lease(
    db: Db, ring: KeyRing, view: ExtensionView, entry: AuditEntry, idempotency: Idempotency | None
) -> Script[Stored | Replay]:
    """See ``relay.ports.platform.ExtensionStore.lease_extension``."""
    replay = yield from once.take(db, ring, idempotency)
    if replay is not None:
        return replay
    team, wanted = raw_bytes(view.team_id), accounts_of(view.account_ids)
    yield from accounts.check_known(db, view.account_ids, "/account_id")
    held = (yield from of_team(db, team)).get(view.extension, frozenset())
    if held and overlap(held, wanted):
        raise AlreadyExists(f"The team has leased the extension {view.extension} already.")
    yield from change(db, team, view.extension, held, held | wanted)
    yield from db.run("teams.touch", id=team)
    yield from audit.add(db, entry)
    return Stored()


def release(db: Db, team: bytes, extension: str, account_id: AccountId | None, entry: AuditEntry) -> Script[bool]:
    """On one account, or wherever the team has leased it. False: it has not."""
    held = (yield from of_team(db, team)).get(extension, frozenset())
    released = held if account_id is None else held & {account_id}
    if not released:
        return False
    yield from change(db, team, extension, held, held - released)
    yield from db.run("teams.touch", id=team)
    yield from audit.add(db, entry)
    return True


def extensions(
    db: Db,
    team: bytes | None,
    account_id: AccountId | None,
    extension: str | None,
    position: str | None,
    limit: int,
) -> Script[Page[ExtensionView]]:
    """Lowest first, as texts; the same extension of several teams by team."""
    after, _, after_team = (position or "").partition(":")
    rows = yield from db.rows(
        "extensions.list",
        after=after,
        after_team=bytes.fromhex(after_team),
        team=team,
        extension=extension,
        account=None if account_id is None else raw_bytes(account_id),
        everywhere=_EVERYWHERE,
        most=limit + 1,
    )
    views: list[ExtensionView] = []
    for found, owner in rows[:limit]:
        places = yield from db.rows("extensions.places", team=owner, extension=found)
        held = frozenset(_account(bytes(place[0])) for place in places)
        views.append(view_of(found, TeamId("team_" + bytes(owner).hex()), held))
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(data=views, next_position=None if last is None else f"{last[0]}:{bytes(last[1]).hex()}")


def taken(db: Db, digits: int, wanted: Held) -> Script[set[str]]:
    """The extensions of so many digits that somebody has leased on any of these accounts."""
    rows = yield from db.rows("extensions.of_width", digits=digits)
    return {extension for extension, account in rows if overlap(wanted, frozenset({_account(bytes(account))}))}
