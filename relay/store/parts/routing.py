"""Submissions that change their account, in the store."""

from collections.abc import Sequence

from relay.domain.extensions import Lease
from relay.domain.ids import AccountId, SubmissionId
from relay.domain.states import Category
from relay.ports import Stranded
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import extensions, routing


class RoutingPart(Part):
    """See ``relay.ports.routing.RoutingStore``."""

    async def stranded(
        self, account_id: AccountId, category: Category, now_ms: int, *, skip: int, limit: int
    ) -> list[Stranded]:
        return await self._driver.read(lambda db: routing.stranded(db, account_id, category, now_ms, skip, limit))

    async def move_submissions(
        self, account_id: AccountId, moves: Sequence[tuple[SubmissionId, AccountId]]
    ) -> list[tuple[SubmissionId, AccountId]]:
        return await self._driver.write(lambda db: routing.move(db, account_id, moves), turns.MOVE)

    async def leases_of(self, extension: str) -> list[Lease]:
        return await self._driver.read(lambda db: extensions.leading(db, extension))

    async def waiting_on(self, account_id: AccountId, now_ms: int) -> int:
        return await self._driver.read(lambda db: routing.waiting_on(db, account_id, now_ms))
