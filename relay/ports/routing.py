"""What waits at an account that takes nothing, as the store keeps it; a part of ``relay.ports.Store``."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from relay.domain.extensions import Lease
from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId
from relay.domain.states import Category


class Stranded(msgspec.Struct, frozen=True, kw_only=True):
    """A due submission that may go elsewhere: no attempt of it can have reached the provider. ``numbers``: how many;
    ``extension``: where answers to it go."""

    id: SubmissionId
    message_id: MessageId
    team_id: TeamId
    numbers: int
    extension: str | None


class RoutingStore(Protocol):
    """Submissions that change their account."""

    async def stranded(
        self, account_id: AccountId, category: Category, now_ms: int, *, skip: int, limit: int
    ) -> list[Stranded]:
        """Due submissions of the account and the category that may go elsewhere, oldest first, without the first
        ``skip``."""

    async def move_submissions(
        self, account_id: AccountId, moves: Sequence[tuple[SubmissionId, AccountId]]
    ) -> list[tuple[SubmissionId, AccountId]]:
        """Bring each submission from ``account_id`` to the account beside it, under the same taskId; those that were
        moved. One that is not there any more, that somebody is just claiming, or that may have reached the provider by
        now stays as it is."""

    async def leases_of(self, extension: str) -> list[Lease]:
        """Who has leased the extension, or an end of it, on whatever account."""

    async def waiting_on(self, account_id: AccountId, now_ms: int) -> int:
        """How many submissions of the account are due, counted up to 10,000."""
