"""Entries for the audit, made where the thing is done and stored in its transaction."""

from typing import Any, Final

import msgspec

from relay.domain.audit import Actor, AuditAction, AuditEntry
from relay.domain.ids import AuditId
from relay.ports import Clock, Entropy, Idempotency
from relay.services.idempotency import KeyUse

_DONE_STATUS: Final = 200


class Auditor:
    """Makes entries. ``detail`` holds no secret, number or text: views only, never drafts."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def entry(self, actor: Actor, action: AuditAction, target: str, detail: dict[str, Any] | None = None) -> AuditEntry:
        """``actor`` did ``action`` to ``target`` (an id, or words) now."""
        return AuditEntry(
            id=AuditId(self._entropy.new_id("aud_")),
            at_ms=self._clock.now_ms(),
            actor=actor,
            action=action,
            target=target,
            detail=detail or {},
        )


def changes(before: msgspec.Struct, after: msgspec.Struct) -> dict[str, Any]:
    """``{"before": {…}, "after": {…}}`` with the fields that differ between two views of one thing."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    differ = [name for name in new if old.get(name) != new[name]]
    return {"before": {name: old.get(name) for name in differ}, "after": {name: new[name] for name in differ}}


def begun(use: KeyUse | None, now_ms: int) -> Idempotency | None:
    """The use of a key whose answer, a 200, is only known in the transaction, which keeps it (``ports.Telling``)."""
    return None if use is None else use.answered(_DONE_STATUS, b"", now_ms)
