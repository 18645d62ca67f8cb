"""The key ring in the store."""

import time
from typing import Final

from relay.domain.audit import AuditEntry
from relay.domain.errors import KeyRingError
from relay.domain.keyring import KeyRingStanding
from relay.domain.times import SECOND_MS
from relay.ports.values import SealedBatch, SealedPosition
from relay.store import turns
from relay.store.live_ring import LiveRing
from relay.store.parts.part import Part
from relay.store.script import Turn
from relay.store.scripts import keyring
from relay.store.sealing import KeyRing

_ONE_AT_A_TIME: Final = Turn(locks=("key ring",))
"""Two processes that start at once with different rings: the second must see the marks of the first."""
_PAGE: Final = 2_000


class KeyRingPart(Part):
    """See ``relay.ports.platform.KeyRingStore``."""

    async def admit_key_ring(self) -> None:
        if not await self.follow_key_ring():
            await self._admit(self._ring)

    async def follow_key_ring(self) -> bool:
        if not isinstance(self._live, LiveRing):
            return False
        found = self._live.candidate()
        if found is None:
            return False
        await self._admit(found[0])
        self._live.take(*found)
        return True

    async def key_ring(self) -> KeyRingStanding:
        marks = await self._driver.read(keyring.marks)
        return KeyRingStanding(
            key_ids=self._ring.key_ids, marks=marks, holders=await self._driver.read(keyring.holders)
        )

    async def tell_key_ring(self, holder: bytes, name: str) -> None:
        await self._driver.write(lambda db: keyring.tell(db, holder, name, self._ring.key_ids))

    async def leave_key_ring(self, holder: bytes) -> None:
        await self._driver.write(lambda db: keyring.leave(db, holder))

    async def activate_key(self, key_id: str, entry: AuditEntry) -> bool:
        return await self._driver.write(lambda db: keyring.activate(db, key_id, entry), _ONE_AT_A_TIME)

    async def forget_key(self, key_id: str, entry: AuditEntry | None) -> None:
        await self._driver.write(lambda db: keyring.forget(db, key_id, entry), _ONE_AT_A_TIME)

    async def count_sealed(self, position: SealedPosition | None, limit: int) -> SealedBatch:
        seen = await self._driver.read(lambda db: keyring.look(db, None, position, limit))
        return SealedBatch(counts=seen.counts, next_position=seen.next_position)

    async def reseal(self, position: SealedPosition | None, limit: int) -> SealedBatch:
        seen = await self._driver.read(lambda db: keyring.look(db, self._ring, position, limit))
        resealed = 0
        if any(new is not None for _, _, new in seen.stale):
            resealed = await self._driver.write(lambda db: keyring.reseal(db, seen), turns.ALONE)
        return SealedBatch(
            counts=seen.counts,
            stale=len(seen.stale),
            resealed=resealed,
            unreadable=sum(new is None for _, _, new in seen.stale),
            next_position=seen.next_position,
        )

    async def _admit(self, ring: KeyRing) -> None:
        # The clock of the machine: it says when a key came, for people.
        now_ms = time.time_ns() // (1_000_000_000 // SECOND_MS)
        lacking, unmarked = await self._driver.read(lambda db: keyring.check(db, ring))
        if not lacking and not unmarked:
            return
        if len(unmarked) == len(ring.key_ids):
            await self._driver.read(lambda db: keyring.verify(db, ring))
        if lacking:
            await self._refuse_if_needed(lacking)
            await self._driver.write(lambda db: keyring.mark_anyway(db, ring, now_ms), _ONE_AT_A_TIME)
        elif not await self._driver.write(lambda db: keyring.admit(db, ring, now_ms), _ONE_AT_A_TIME):
            await self._admit(ring)

    async def _refuse_if_needed(self, lacking: set[str]) -> None:
        """Somebody took keys out of the ring. Nothing is lost when no value needs them. Raises KeyRingError."""
        position: SealedPosition | None = None
        while True:
            batch = await self.count_sealed(position, _PAGE)
            needed = {key_id for counts in batch.counts.values() for key_id in counts} & lacking
            if needed:
                raise KeyRingError(keyring.missing_keys(needed))
            position = batch.next_position
            if position is None:
                return
