"""The key ring: what is sealed by which key, coming to another key, and letting go of the old one.

A rotation with nobody stopped: the new key is handed out first and seals nothing; once every running gateway has it, it
becomes the one that seals; once they all seal with it, what older keys sealed is sealed anew; then nothing needs those.
Each step can be taken again, whatever was killed when.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from relay.domain.audit import Actor
from relay.domain.errors import InUse, NotFound
from relay.domain.keyring import KeyHolder, KeyRingStanding, KeyRingView, RingHolderView, RingKeyView
from relay.domain.times import instant, instant_or_none
from relay.ports import Clock, Entropy, SealedPosition, Store
from relay.services.admin.auditing import Auditor

Counts = dict[str, dict[str, int]]
"""Values by table and key id."""
_LOOK_ROWS: Final = 2_000
_BATCH_ROWS: Final = 200
"""Of one transaction: SQLite's one writer is held for a few milliseconds, and others wait for no row longer."""
_LONGEST_PAUSE_S: Final = 1.0
_POLL_S: Final = 0.25


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Of a walk: ``passed`` of ``values`` were looked at, and about ``stale`` are still sealed by another key."""

    passed: int
    values: int
    stale: int


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    """What a re-encryption did. ``stale``: what it found; ``unreadable``: what did not open, and stays as it is.
    ``complete``: it came to the end, and was not told to stop."""

    stale: int
    resealed: int
    unreadable: int
    complete: bool


def _unseen(progress: Progress) -> None:
    """Nobody watches."""


def _always() -> bool:
    return True


class KeyRingAdmin:
    """Administers the key ring of the store. No key passes through here, only their ids."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._auditor = Auditor(clock, entropy)

    async def view(self) -> KeyRingView:
        """All that is known, every sealed value counted."""
        return view_of(await self._store.key_ring(), await self.count())

    async def count(self) -> Counts:
        """How many values there are, by table and key id. Walks over all of them, in pages."""
        counts: Counts = {}
        position: SealedPosition | None = None
        while True:
            batch = await self._store.count_sealed(position, _LOOK_ROWS)
            for table, by_key in batch.counts.items():
                for key_id, number in by_key.items():
                    own = counts.setdefault(table, {})
                    own[key_id] = own.get(key_id, 0) + number
            position = batch.next_position
            if position is None:
                return counts

    async def note_active(self, actor: Actor) -> bool:
        """Tell the audit that this process's active key seals from now on; once, whoever sees it first."""
        standing = await self._store.key_ring()
        if all(mark.key_id != standing.active or mark.activated_ms is not None for mark in standing.marks):
            return False
        earlier = [mark for mark in standing.marks if mark.activated_ms is not None]
        before = max(earlier, key=lambda mark: mark.activated_ms or 0, default=None)
        detail = {"before": None if before is None else before.key_id, "after": standing.active}
        entry = self._auditor.entry(actor, "keyring.rotated", standing.active, detail)
        return await self._store.activate_key(standing.active, entry)

    async def note_added(self, key_id: str, actor: Actor) -> None:
        """Tell the audit of a new key that seals nothing yet."""
        await self._store.add_audit(self._auditor.entry(actor, "keyring.key_added", key_id), None)

    async def reencrypt(
        self,
        actor: Actor,
        *,
        go_on: Callable[[], bool] = _always,
        watch: Callable[[Progress], None] = _unseen,
    ) -> Resealed:
        """Seal with the active key what another one had sealed, in small transactions with pauses as long. Others may
        do the same at the same time, and may use every value meanwhile."""
        active = (await self._store.key_ring()).active
        counts = await self.count()
        left = stale = stale_values(counts, active)
        values, passed, resealed, unreadable = sum(_by_key(counts).values()), 0, 0, 0
        watch(Progress(passed=0, values=values, stale=left))
        position: SealedPosition | None = None
        while stale and go_on():
            began_s = self._clock.monotonic_s()
            batch = await self._store.reseal(position, _BATCH_ROWS)
            position = batch.next_position
            resealed, unreadable = resealed + batch.resealed, unreadable + batch.unreadable
            passed, left = passed + sum(_by_key(batch.counts).values()), max(0, left - batch.resealed)
            watch(Progress(passed=min(passed, values), values=values, stale=left if position else unreadable))
            if position is None:
                break
            if batch.resealed:
                await self._clock.sleep(min(_LONGEST_PAUSE_S, self._clock.monotonic_s() - began_s))
        if resealed:
            detail = {"resealed": resealed, "unreadable": unreadable}
            await self._store.add_audit(self._auditor.entry(actor, "keyring.reencrypted", active, detail), None)
        return Resealed(stale=stale, resealed=resealed, unreadable=unreadable, complete=not stale or position is None)

    async def wait_for_gateways(
        self, does: Callable[[KeyHolder], bool], *, within_s: float, watch: Callable[[list[str]], None]
    ) -> list[str]:
        """Until every running gateway ``does``; the names of those that still do not after ``within_s``. ``watch``
        hears whom it waits for, whenever that changes."""
        until_s = self._clock.monotonic_s() + within_s
        told: list[str] = []
        while True:
            late = [holder.name for holder in (await self._store.key_ring()).holders if not does(holder)]
            if late != told:
                watch(late)
                told = late
            if not late or self._clock.monotonic_s() >= until_s:
                return late
            await self._clock.sleep(_POLL_S)

    async def check_unused(self, key_id: str) -> None:
        """Raises NotFound for a key that nobody knows, InUse when it seals, here or in a gateway, or has sealed a
        value."""
        standing = await self._store.key_ring()
        if key_id not in {*standing.key_ids, *(mark.key_id for mark in standing.marks)}:
            raise NotFound("There is no key of this id: `relay keyring status` shows them.")
        if key_id == standing.active:
            raise InUse("This is the active key: `relay keyring rotate` comes to another one first.")
        late = [holder.name for holder in standing.holders if holder.active == key_id]
        if late:
            raise InUse(
                f"This key still seals in {', '.join(late)}: wait until its own key ring has the new one first."
            )
        used = {table: by_key[key_id] for table, by_key in (await self.count()).items() if key_id in by_key}
        if used:
            where = ", ".join(f"{table} {number}" for table, number in used.items())
            raise InUse(f"This key still seals values ({where}): run `relay keyring reencrypt` first.")

    async def forget(self, key_id: str, actor: Actor | None) -> None:
        """The database lets go of a key that ``check_unused`` lets go; ``actor`` None: nobody is told."""
        entry = None if actor is None else self._auditor.entry(actor, "keyring.key_removed", key_id)
        await self._store.forget_key(key_id, entry)


def stale_values(counts: Counts, active: str) -> int:
    """How many values another key seals."""
    return sum(number for key_id, number in _by_key(counts).items() if key_id != active)


def view_of(standing: KeyRingStanding, counts: Counts) -> KeyRingView:
    """The keys of this process in their order, then others that the database knows."""
    marks = {mark.key_id: mark for mark in standing.marks}
    others = sorted({*marks, *_by_key(counts)} - set(standing.key_ids))
    keys = []
    for key_id in (*standing.key_ids, *others):
        mark = marks.get(key_id)
        keys.append(
            RingKeyView(
                id=key_id,
                active=key_id == standing.active,
                present=key_id in standing.key_ids,
                created_at=None if mark is None else instant(mark.created_ms),
                activated_at=None if mark is None else instant_or_none(mark.activated_ms),
                values={table: by_key[key_id] for table, by_key in counts.items() if key_id in by_key},
            )
        )
    return KeyRingView(
        active=standing.active,
        stale_values=stale_values(counts, standing.active),
        keys=keys,
        gateways=[
            RingHolderView(name=holder.name, active=holder.active, key_ids=list(holder.key_ids))
            for holder in standing.holders
        ],
    )


def _by_key(counts: Counts) -> dict[str, int]:
    totals: dict[str, int] = {}
    for by_key in counts.values():
        for key_id, number in by_key.items():
            totals[key_id] = totals.get(key_id, 0) + number
    return totals
