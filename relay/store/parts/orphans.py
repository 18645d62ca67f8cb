"""Orphans and the quarantine in the store."""

from relay.domain.errors import NotFound
from relay.domain.ids import MessageId, SubmissionId, TeamId, raw_bytes
from relay.domain.orphans import (
    OrphanReprocessed,
    OrphanStatus,
    OrphanView,
    QuarantineReprocessed,
    QuarantineView,
)
from relay.domain.provider import BodyKind
from relay.domain.suppressions import NO_WORDS, OptOutWords
from relay.ports import Page, ReadBody, Replay, SetAside, Telling, Told
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import orphan_views, orphans, quarantine


class OrphansPart(Part):
    """See ``relay.ports.orphans.OrphanStore``."""

    async def orphan(self, orphan_id: str) -> OrphanView | None:
        return await self._driver.read(lambda db: orphan_views.orphan(db, orphan_id))

    async def orphans(
        self,
        *,
        kind: BodyKind | None,
        account_id: str | None,
        status: OrphanStatus | None,
        position: str | None,
        limit: int,
    ) -> Page[OrphanView]:
        account = None if account_id is None else raw_bytes(account_id)
        return await self._driver.read(
            lambda db: orphan_views.orphans(
                db, kind=kind, account=account, status=status, position=position, limit=limit
            )
        )

    async def open_orphans(self) -> int:
        return await self._driver.read(orphan_views.count_open)

    async def in_quarantine(self) -> int:
        return await self._driver.read(quarantine.count)

    async def assign_inbound(
        self,
        orphan_id: str,
        to: TeamId,
        *,
        now_ms: int,
        telling: Telling[OrphanView],
        opt_out_words: OptOutWords = NO_WORDS,
    ) -> Told[OrphanView] | Replay:
        return await self._driver.write(
            lambda db: orphans.assign_inbound(db, self._ring, orphan_id, to, now_ms, telling, opt_out_words),
            turns.change(orphan_id),
        )

    async def assign_report(
        self, orphan_id: str, to: MessageId | SubmissionId, *, now_ms: int, telling: Telling[OrphanView]
    ) -> Told[OrphanView] | Replay:
        pointer = "/submission_id" if to.startswith("sub_") else "/message_id"
        submissions = await self._driver.read(lambda db: orphans.submissions_of(db, to))
        return await self._driver.write(
            lambda db: orphans.assign_report(db, self._ring, orphan_id, submissions, pointer, now_ms, telling),
            turns.change(orphan_id, submissions),
        )

    async def reprocess_orphan(
        self,
        orphan_id: str,
        *,
        now_ms: int,
        telling: Telling[OrphanReprocessed],
        opt_out_words: OptOutWords = NO_WORDS,
    ) -> Told[OrphanReprocessed] | Replay:
        view = await self.orphan(orphan_id)
        if view is None:
            raise NotFound("There is no such orphan.")
        return await self._driver.write(
            lambda db: orphans.reprocess(db, self._ring, orphan_id, now_ms, telling, opt_out_words), turns.rematch(view)
        )

    async def dismiss_orphan(
        self, orphan_id: str, *, now_ms: int, telling: Telling[OrphanView]
    ) -> Told[OrphanView] | Replay:
        return await self._driver.write(
            lambda db: orphans.dismiss(db, self._ring, orphan_id, now_ms, telling), turns.change(orphan_id)
        )

    # -- the quarantine ----------------------------------------------------------------------------------------------

    async def quarantined(
        self, *, kind: BodyKind | None, account_id: str | None, position: str | None, limit: int
    ) -> Page[QuarantineView]:
        account = None if account_id is None else raw_bytes(account_id)
        return await self._driver.read(
            lambda db: quarantine.quarantined(db, kind=kind, account=account, position=position, limit=limit)
        )

    async def set_aside(self, raw_id: str) -> SetAside | None:
        return await self._driver.read(lambda db: quarantine.set_aside(db, raw_id))

    async def reprocess_body(
        self, body: ReadBody, *, now_ms: int, telling: Telling[QuarantineReprocessed]
    ) -> Told[QuarantineReprocessed] | Replay:
        return await self._driver.write(
            lambda db: quarantine.reprocess(db, self._ring, body, now_ms, telling), turns.reprocess_body(body)
        )

    async def keep_set_aside(
        self, raw_id: str, why: str, *, telling: Telling[QuarantineReprocessed]
    ) -> Told[QuarantineReprocessed] | Replay:
        return await self._driver.write(
            lambda db: quarantine.keep(db, self._ring, raw_id, why, telling), turns.change(raw_id)
        )

    async def dismiss_body(
        self, raw_id: str, *, now_ms: int, telling: Telling[QuarantineView]
    ) -> Told[QuarantineView] | Replay:
        return await self._driver.write(
            lambda db: quarantine.dismiss(db, self._ring, raw_id, now_ms, telling), turns.change(raw_id)
        )
