"""The outcome of a change, told in the transaction that makes it: to the audit, and to whoever asks again."""

from typing import TypeVar

import msgspec

from relay.ports import Replay, Telling, Told
from relay.store.script import Db, Script
from relay.store.scripts import audit
from relay.store.scripts import idempotency as once
from relay.store.scripts.emit import Effects
from relay.store.scripts.reports import effects_of
from relay.store.sealing import KeyRing

T = TypeVar("T")


def begin(db: Db, ring: KeyRing, telling: Telling[T]) -> Script[Replay | None]:
    """Take the Idempotency-Key; what another request with it was answered."""
    return (yield from once.take(db, ring, telling.idempotency))


def end(db: Db, ring: KeyRing, telling: Telling[T], outcome: T, effects: Effects) -> Script[Told[T]]:
    """Write the entry, and keep the answer."""
    answer = telling.answer(outcome)
    entry = telling.entry(outcome)
    if entry is not None:
        yield from audit.add(db, entry)
    if telling.idempotency is not None:
        yield from once.keep_answer(db, ring, msgspec.structs.replace(telling.idempotency, answer=answer))
    return Told(outcome=outcome, answer=answer, effects=effects_of(effects))
