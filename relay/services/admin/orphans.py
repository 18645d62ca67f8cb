"""Reports and inbound messages that matched nobody: whose they are after all."""

from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.audit import Actor, AuditAction, AuditEntry
from relay.domain.errors import AlreadySettled, BodyInvalid, FieldError, NotFound
from relay.domain.orphans import OrphanReprocessed, OrphanView
from relay.domain.suppressions import NO_WORDS, OptOutWords
from relay.ports import Clock, Entropy, Replay, Store, StoredEffects, Telling, Told
from relay.services.admin.auditing import Auditor, begun
from relay.services.idempotency import KeyUse
from relay.services.requests import OrphanAssignment, OrphanBatch

_DONE_STATUS: Final = 200


class OrphanTally(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a batch were looked at and matched; ``next_position`` None: there is no more."""

    examined: int
    matched: int
    next_position: str | None


class OrphansAdmin:
    """Deals with orphans, each of which comes to its end once. Every method that names one raises NotFound, and
    AlreadySettled with what became of it."""

    def __init__(
        self,
        store: Store,
        set_going: Callable[[StoredEffects], None],
        clock: Clock,
        entropy: Entropy,
        opt_out_words: OptOutWords = NO_WORDS,
    ) -> None:
        """``set_going`` is called with what each commit set going."""
        self._words = opt_out_words
        self._store = store
        self._set_going = set_going
        self._auditor = Auditor(clock, entropy)
        self._clock = clock

    async def assign(
        self,
        orphan_id: str,
        request: OrphanAssignment,
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[OrphanView], bytes],
    ) -> bytes | Replay:
        """An inbound message goes to a team, a report to the recipient of its number. Raises BodyInvalid."""
        now_ms = self._clock.now_ms()
        telling = Telling(
            entry=lambda view: self._entry(actor, "orphan.assigned", view),
            answer=render,
            idempotency=begun(use, now_ms),
        )
        to = request.message_id or request.submission_id
        if request.team_id is not None:
            if await self._store.team(request.team_id) is None:
                raise _invalid("/team_id", "there is no such team")
            told = await self._store.assign_inbound(
                orphan_id, request.team_id, now_ms=now_ms, telling=telling, opt_out_words=self._words
            )
        elif to is not None:
            told = await self._store.assign_report(orphan_id, to, now_ms=now_ms, telling=telling)
        else:
            raise _invalid("", "say whose it is: team_id, message_id or submission_id")
        return self._done(told)

    async def reprocess(
        self, orphan_id: str, actor: Actor, use: KeyUse | None, render: Callable[[OrphanReprocessed], bytes]
    ) -> bytes | Replay:
        """Match it by the usual rules, with what is known now."""
        now_ms = self._clock.now_ms()
        telling = Telling(
            entry=lambda outcome: self._reprocessed(actor, outcome), answer=render, idempotency=begun(use, now_ms)
        )
        return self._done(
            await self._store.reprocess_orphan(orphan_id, now_ms=now_ms, telling=telling, opt_out_words=self._words)
        )

    async def reprocess_some(
        self, batch: OrphanBatch, actor: Actor, use: KeyUse | None, render: Callable[[OrphanTally], bytes]
    ) -> bytes | Replay:
        """The same for many, each in a transaction of its own. Those that are matched have entries of their own, and
        the whole has one with the numbers. When it breaks off, the same call again does the rest."""
        if use is not None:
            replay = await self._store.find_replay(use.scope, use.key, use.fingerprint)
            if replay is not None:
                return replay
        page = await self._store.orphans(
            kind=batch.kind,
            account_id=batch.account_id,
            status="open",
            position=batch.position,
            limit=batch.limit,
        )
        matched = 0
        for view in page.data:
            matched += await self._matches(view, actor)
        tally = OrphanTally(examined=len(page.data), matched=matched, next_position=page.next_position)
        answer = render(tally)
        detail = {"kind": batch.kind, "account_id": batch.account_id, "examined": tally.examined, "matched": matched}
        entry = self._auditor.entry(actor, "orphan.reprocessed", "open orphans", detail)
        idempotency = None if use is None else use.answered(_DONE_STATUS, answer, entry.at_ms)
        stored = await self._store.add_audit(entry, idempotency)
        return stored if isinstance(stored, Replay) else answer

    async def dismiss(
        self, orphan_id: str, actor: Actor, use: KeyUse | None, render: Callable[[OrphanView], bytes]
    ) -> bytes | Replay:
        """It is nobody's."""
        now_ms = self._clock.now_ms()
        telling = Telling(
            entry=lambda view: self._entry(actor, "orphan.dismissed", view),
            answer=render,
            idempotency=begun(use, now_ms),
        )
        return self._done(await self._store.dismiss_orphan(orphan_id, now_ms=now_ms, telling=telling))

    # -- how ---------------------------------------------------------------------------------------------------------

    async def _matches(self, view: OrphanView, actor: Actor) -> bool:
        telling = Telling[OrphanReprocessed](
            entry=lambda outcome: self._reprocessed(actor, outcome) if outcome.matched else None,
            answer=lambda outcome: b"",
            idempotency=None,
        )
        try:
            told = await self._store.reprocess_orphan(
                view.id, now_ms=self._clock.now_ms(), telling=telling, opt_out_words=self._words
            )
        except (AlreadySettled, NotFound):
            # Somebody was faster, or its number was erased.
            return False
        if isinstance(told, Replay):
            return False
        self._set_going(told.effects)
        return told.outcome.matched

    def _done(self, told: Told[OrphanView] | Told[OrphanReprocessed] | Replay) -> bytes | Replay:
        if isinstance(told, Replay):
            return told
        self._set_going(told.effects)
        return told.answer

    def _reprocessed(self, actor: Actor, outcome: OrphanReprocessed) -> AuditEntry:
        return self._entry(actor, "orphan.reprocessed", outcome.orphan, matched=outcome.matched)

    def _entry(self, actor: Actor, action: AuditAction, view: OrphanView, **more: object) -> AuditEntry:
        after = {"status": view.status, "resolution": msgspec.to_builtins(view.resolution)}
        about = {"account_id": view.account_id, "kind": view.kind}
        return self._auditor.entry(actor, action, view.id, about | more | {"after": after})


def _invalid(pointer: str, detail: str) -> BodyInvalid:
    return BodyInvalid("The orphan cannot be assigned so.", errors=(FieldError(pointer=pointer, detail=detail),))
