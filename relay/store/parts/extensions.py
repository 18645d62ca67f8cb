"""Extensions in the store."""

from relay.domain.audit import AuditEntry
from relay.domain.extensions import ExtensionView, Held
from relay.domain.ids import AccountId, TeamId, raw_bytes
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import extensions


class ExtensionsPart(Part):
    """See ``relay.ports.platform.ExtensionStore``."""

    async def lease_extension(
        self, view: ExtensionView, *, entry: AuditEntry, idempotency: Idempotency | None
    ) -> Stored | Replay:
        return await self._driver.write(
            lambda db: extensions.lease(db, self._ring, view, entry, idempotency), turns.TEAMS
        )

    async def release_extension(
        self, team_id: TeamId, extension: str, account_id: AccountId | None, *, entry: AuditEntry
    ) -> bool:
        return await self._driver.write(
            lambda db: extensions.release(db, raw_bytes(team_id), extension, account_id, entry), turns.TEAMS
        )

    async def extensions(
        self,
        *,
        team_id: str | None,
        account_id: AccountId | None,
        extension: str | None,
        position: str | None,
        limit: int,
    ) -> Page[ExtensionView]:
        team = None if team_id is None else raw_bytes(team_id)
        return await self._driver.read(
            lambda db: extensions.extensions(db, team, account_id, extension, position, limit)
        )

    async def taken_extensions(self, digits: int, held: Held) -> set[str]:
        return await self._driver.read(lambda db: extensions.taken(db, digits, held))
