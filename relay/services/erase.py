"""Erasing one number wherever it stands, and telling the audit."""

from collections.abc import Callable
from typing import Final

from relay.domain.audit import Actor, AuditAction, AuditEntry
from relay.domain.erasure import ERASURE_STAGES, ErasureStage, ErasureView
from relay.domain.ids import AuditId
from relay.domain.numbers import last_two
from relay.ports import Clock, Entropy, Replay, Store
from relay.services.idempotency import KeyUse

_DONE_STATUS: Final = 200
_BATCH_ROWS: Final = 500


def _unseen(stage: ErasureStage, erased: int) -> None:
    """Nobody watches."""


class Erase:
    """The use case behind POST /v1/admin/erasures and ``relay erase``."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy

    async def number(
        self,
        mobile: int,
        actor: Actor,
        use: KeyUse | None,
        render: Callable[[ErasureView], bytes],
        *,
        watch: Callable[[ErasureStage, int], None] = _unseen,
    ) -> bytes | Replay:
        """Erase every trace of the number that may go; ``watch`` is told after each batch how much of
        its stage is erased by then. Raises IdempotencyKeyReused.

        It may break off at any point: what is erased by then is erased, and the same call again does the rest. So the
        audit has two entries: one that is there before anything is touched, and one at the end.
        """
        if use is not None:
            replay = await self._store.find_replay(use.scope, use.key, use.fingerprint)
            if replay is not None:
                return replay
        target = f"number ending in {last_two(mobile)}"
        begun = self._entry(actor, "erasure.started", target, {})
        await self._store.add_audit(begun, None)
        erased: dict[ErasureStage, int] = {}
        left_open: dict[ErasureStage, int] = {}
        for stage in ERASURE_STAGES:
            struck, left = await self._stage(stage, mobile, watch)
            if struck:
                erased[stage] = struck
            if left:
                left_open[stage] = left
        detail: dict[str, object] = {"started": begun.id, "erased": erased, "left_open": left_open}
        done = self._entry(actor, "erasure.done", target, detail)
        view = ErasureView(
            id=done.id,
            number_ends_in=last_two(mobile),
            erased=erased,
            left_open=left_open,
            complete=not left_open,
        )
        answer = render(view)
        stored = await self._store.add_audit(
            done, None if use is None else use.answered(_DONE_STATUS, answer, done.at_ms)
        )
        return stored if isinstance(stored, Replay) else answer

    async def _stage(
        self, stage: ErasureStage, mobile: int, watch: Callable[[ErasureStage, int], None]
    ) -> tuple[int, int]:
        erased = left_open = 0
        position: str | None = None
        while True:
            batch = await self._store.erase_number(
                stage, mobile, position=position, now_ms=self._clock.now_ms(), limit=_BATCH_ROWS
            )
            erased += batch.erased
            left_open += batch.left_open
            watch(stage, erased)
            position = batch.next_position
            if position is None:
                return erased, left_open

    def _entry(self, actor: Actor, action: AuditAction, target: str, detail: dict[str, object]) -> AuditEntry:
        return AuditEntry(
            id=AuditId(self._entropy.new_id("aud_")),
            at_ms=self._clock.now_ms(),
            actor=actor,
            action=action,
            target=target,
            detail=detail,
        )
