"""Teams in the store."""

from relay.domain.audit import AuditEntry
from relay.domain.ids import raw_bytes
from relay.domain.teams import Team
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store.parts.part import Part
from relay.store.scripts import teams


class TeamsPart(Part):
    """See ``relay.ports.platform.TeamStore``."""

    async def create_team(self, team: Team, *, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        return await self._driver.write(lambda db: teams.create_team(db, self._ring, team, entry, idempotency))

    async def team(self, team_id: str) -> Team | None:
        return await self._driver.read(lambda db: teams.team(db, raw_bytes(team_id)))

    async def teams(self, *, position: str | None, limit: int) -> Page[Team]:
        return await self._driver.read(lambda db: teams.teams(db, position, limit))
