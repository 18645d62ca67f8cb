"""Bodies of the provider that were set aside: read again, with the code of today, or dismissed."""

import base64
from collections.abc import Callable

from msgspec import structs

from relay.domain.audit import Actor, AuditEntry
from relay.domain.errors import AlreadySettled, NotFound, Refusal
from relay.domain.orphans import QuarantineBody, QuarantineReprocessed, QuarantineView
from relay.domain.suppressions import NO_WORDS, OptOutWords
from relay.ports import (
    Clock,
    Entropy,
    Provider,
    Replay,
    SetAside,
    Store,
    StoredEffects,
    Telling,
    Told,
)
from relay.services.admin.auditing import Auditor, begun
from relay.services.apply import AWAY, read_body
from relay.services.idempotency import KeyUse


class QuarantineAdmin:
    """Deals with bodies in quarantine. Every method raises NotFound, and AlreadySettled for one that has left it."""

    def __init__(
        self,
        store: Store,
        provider: Provider,
        set_going: Callable[[StoredEffects], None],
        clock: Clock,
        entropy: Entropy,
        opt_out_words: OptOutWords = NO_WORDS,
    ) -> None:
        """Of ``provider`` only what reads is asked; ``set_going`` is called with what each commit set going."""
        self._words = opt_out_words
        self._store = store
        self._provider = provider
        self._set_going = set_going
        self._auditor = Auditor(clock, entropy)
        self._clock = clock

    async def reprocess(
        self, raw_id: str, actor: Actor, use: KeyUse | None, render: Callable[[QuarantineReprocessed], bytes]
    ) -> bytes | Replay:
        """Apply what can be read by now and was not applied before. While parts of it still cannot be read, or it
        breaks our code again, it stays."""
        now_ms = self._clock.now_ms()
        telling = Telling(
            entry=lambda outcome: self._reprocessed(actor, outcome), answer=render, idempotency=begun(use, now_ms)
        )
        if use is not None:
            replay = await self._store.find_replay(use.scope, use.key, use.fingerprint)
            if replay is not None:
                return replay
        found = await self._store.set_aside(raw_id)
        if found is None:
            raise NotFound("There is no such body.")
        if found.applied_unknown:
            raise AlreadySettled(
                "A release before this one applied parts of it and did not note which: they could be applied twice."
            )
        try:
            told = await self._store.reprocess_body(
                read_body(self._provider, found.item, self._words), now_ms=now_ms, telling=telling
            )
        except (*AWAY, Refusal):
            raise
        except Exception as error:
            # Decision: as in apply.py, because whatever breaks here broke it when it came, and is told, not thrown.
            why = f"it broke our code: {type(error).__name__}"
            told = await self._store.keep_set_aside(raw_id, why, telling=telling)
        return self._done(told)

    async def dismiss(
        self, raw_id: str, actor: Actor, use: KeyUse | None, render: Callable[[QuarantineView], bytes]
    ) -> bytes | Replay:
        """Nobody needs it: its bytes stay as long as those of bodies that were applied."""
        now_ms = self._clock.now_ms()
        telling = Telling(
            entry=lambda view: self._auditor.entry(
                actor,
                "quarantine.dismissed",
                view.id,
                {"before": {"state": "quarantined"}, "after": {"state": view.state}},
            ),
            answer=render,
            idempotency=begun(use, now_ms),
        )
        return self._done(await self._store.dismiss_body(raw_id, now_ms=now_ms, telling=telling))

    def _reprocessed(self, actor: Actor, outcome: QuarantineReprocessed) -> AuditEntry:
        detail = {
            "before": {"state": "quarantined"},
            "after": {"state": outcome.state, "why": outcome.why},
            "rows": outcome.rows,
            "already_applied": outcome.already_applied,
            "unreadable": outcome.unreadable,
        }
        return self._auditor.entry(actor, "quarantine.reprocessed", outcome.id, detail)

    def _done(self, told: Told[QuarantineReprocessed] | Told[QuarantineView] | Replay) -> bytes | Replay:
        if isinstance(told, Replay):
            return told
        self._set_going(told.effects)
        return told.answer


def with_bytes(body: SetAside) -> QuarantineBody:
    """The body as it is shown."""
    raw = body.item.raw
    return QuarantineBody(
        **structs.asdict(body.view),
        body_base64=base64.b64encode(raw.body).decode(),
        query=raw.query.decode("utf-8", "backslashreplace"),
        text=_text(raw.body),
    )


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("gb18030", "replace")
