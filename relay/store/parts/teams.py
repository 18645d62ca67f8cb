"""Teams in the store."""

from relay.domain.audit import AuditEntry
from relay.domain.ids import EndpointId, TeamId, raw_bytes
from relay.domain.quotas import QuotaDay
from relay.domain.teams import Team
from relay.ports import Idempotency, Page, Replay, Stored
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import teams


class TeamsPart(Part):
    """See ``relay.ports.platform.TeamStore``."""

    async def create_team(self, team: Team, *, entry: AuditEntry, idempotency: Idempotency | None) -> Stored | Replay:
        return await self._driver.write(
            lambda db: teams.create_team(db, self._ring, team, entry, idempotency), turns.TEAMS
        )

    async def update_team(self, before: Team, after: Team, *, day: QuotaDay, entry: AuditEntry) -> bool:
        return await self._driver.write(
            lambda db: teams.update_team(db, before, after, day, entry), turns.update_team(before.id)
        )

    async def delete_team(self, team: Team, *, now_ms: int, entry: AuditEntry) -> list[EndpointId] | None:
        return await self._driver.write(lambda db: teams.delete_team(db, team, now_ms, entry), turns.TEAMS)

    async def team(self, team_id: str) -> Team | None:
        return await self._driver.read(lambda db: teams.team(db, raw_bytes(team_id)))

    async def teams(self, *, position: str | None, limit: int) -> Page[Team]:
        return await self._driver.read(lambda db: teams.teams(db, position, limit))

    async def units_used(self, team_id: TeamId, day: QuotaDay, *, counted: bool) -> int:
        return await self._driver.read(lambda db: teams.units_used(db, raw_bytes(team_id), day, counted=counted))
