"""What matched nobody, and what could not be read; a part of ``relay.ports.Store``."""

from typing import Protocol

from relay.domain.ids import MessageId, SubmissionId, TeamId
from relay.domain.orphans import (
    OrphanReprocessed,
    OrphanStatus,
    OrphanView,
    QuarantineReprocessed,
    QuarantineView,
)
from relay.domain.provider import BodyKind
from relay.domain.suppressions import NO_WORDS, OptOutWords
from relay.ports.values import Page, ReadBody, Replay, SetAside, Telling, Told


class OrphanStore(Protocol):
    """Orphans and the quarantine. What changes one raises NotFound, and AlreadySettled with what became of it."""

    async def orphan(self, orphan_id: str) -> OrphanView | None:
        """One orphan."""

    async def orphans(
        self,
        *,
        kind: BodyKind | None,
        account_id: str | None,
        status: OrphanStatus | None,
        position: str | None,
        limit: int,
    ) -> Page[OrphanView]:
        """Newest first."""

    async def open_orphans(self) -> int:
        """How many are open, counted up to 10,000."""

    async def in_quarantine(self) -> int:
        """How many bodies are in quarantine, counted up to 10,000."""

    async def assign_inbound(
        self,
        orphan_id: str,
        to: TeamId,
        *,
        now_ms: int,
        telling: Telling[OrphanView],
        opt_out_words: OptOutWords = NO_WORDS,
    ) -> Told[OrphanView] | Replay:
        """It becomes an inbound message of the team, with its event and deliveries, and an opt-out
        when it is one of the words. Raises BodyInvalid for a report."""

    async def assign_report(
        self, orphan_id: str, to: MessageId | SubmissionId, *, now_ms: int, telling: Telling[OrphanView]
    ) -> Told[OrphanView] | Replay:
        """It is applied to the recipient of its number, as if it had come for that. Raises BodyInvalid when there is
        none, and for what is no report."""

    async def reprocess_orphan(
        self,
        orphan_id: str,
        *,
        now_ms: int,
        telling: Telling[OrphanReprocessed],
        opt_out_words: OptOutWords = NO_WORDS,
    ) -> Told[OrphanReprocessed] | Replay:
        """Match it by the usual rules, as of when it came, with what is known now."""

    async def dismiss_orphan(
        self, orphan_id: str, *, now_ms: int, telling: Telling[OrphanView]
    ) -> Told[OrphanView] | Replay:
        """It is nobody's."""

    async def quarantined(
        self, *, kind: BodyKind | None, account_id: str | None, position: str | None, limit: int
    ) -> Page[QuarantineView]:
        """Bodies that are in quarantine, newest first."""

    async def set_aside(self, raw_id: str) -> SetAside | None:
        """A body that is or was in quarantine."""

    async def reprocess_body(
        self, body: ReadBody, *, now_ms: int, telling: Telling[QuarantineReprocessed]
    ) -> Told[QuarantineReprocessed] | Replay:
        """Apply the rows that were not applied before. The body leaves the quarantine when all of it could be read."""

    async def keep_set_aside(
        self, raw_id: str, why: str, *, telling: Telling[QuarantineReprocessed]
    ) -> Told[QuarantineReprocessed] | Replay:
        """It stays where it is, for this reason now."""

    async def dismiss_body(
        self, raw_id: str, *, now_ms: int, telling: Telling[QuarantineView]
    ) -> Told[QuarantineView] | Replay:
        """Nobody needs it: it goes like one that was applied."""
