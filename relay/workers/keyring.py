"""The key ring of a running process: follows its file, tells the others what it has, and re-encrypts."""

from typing import Final

import structlog

from relay.domain.audit import SYSTEM
from relay.domain.errors import KeyRingError, StoreUnavailable
from relay.ports import Clock, Entropy, Store
from relay.services.admin.keyring import KeyRingAdmin, Progress
from relay.services.membership import Members
from relay.telemetry.metrics import Metrics

_LOOK_S: Final = 1.0
_TELL_S: Final = 10.0
"""A third of the time for which others take it for granted."""
_REENCRYPT_S: Final = 5.0
_HOLDER_BYTES: Final = 8

log = structlog.get_logger("relay")


class KeyRingWorker:
    """``run`` in every process; ``reencrypt`` does something in the one that leads."""

    def __init__(
        self,
        store: Store,
        admin: KeyRingAdmin,
        members: Members,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        *,
        name: str,
    ) -> None:
        self._store = store
        self._admin = admin
        self._members = members
        self._clock = clock
        self._metrics = metrics
        self._holder = entropy.token(_HOLDER_BYTES)
        self._name = name
        self._told_s: float | None = None
        self._wrong = ""
        self._walked: tuple[str, bool] | None = None

    async def start(self) -> None:
        """The ring is the one of this database, and the others know which keys this process has. Raises
        KeyRingError."""
        await self._store.admit_key_ring()
        await self._tell()
        await self._admin.note_active(SYSTEM)

    async def run(self) -> None:
        """Follow the file, for ever."""
        while True:
            await self.look()
            await self._clock.sleep(_LOOK_S)

    async def look(self) -> None:
        """Take the ring that is in the file now, or say why not: then the one before is used on."""
        wrong = ""
        try:
            if await self._store.follow_key_ring():
                standing = await self._store.key_ring()
                log.info("key_ring.taken", active=standing.active, keys=len(standing.key_ids))
                await self._tell()
                await self._admin.note_active(SYSTEM)
        except KeyRingError as error:
            wrong = str(error)
        if wrong and wrong != self._wrong:
            log.warning("key_ring.refused", reason=wrong)
        self._wrong = wrong
        self._metrics.key_ring_refused(bool(wrong))
        if self._told_s is None or self._clock.monotonic_s() - self._told_s >= _TELL_S:
            await self._tell()

    async def reencrypt(self) -> None:
        """Seal anew what older keys sealed, for ever."""
        while True:
            await self.reencrypt_once()
            await self._clock.sleep(_REENCRYPT_S)

    async def reencrypt_once(self) -> None:
        """Walk over everything when it may be due: the active key is another one, or all gateways have come to it; and
        then again, until nothing was found."""
        if not self._members.leads():
            # Whoever leads now tells.
            self._walked = None
            self._metrics.key_ring_stale(0)
            return
        standing = await self._store.key_ring()
        active = standing.active
        if all(mark.key_id == active for mark in standing.marks):
            self._metrics.key_ring_stale(0)
            return
        walk = (active, all(holder.active == active for holder in standing.holders))
        if walk == self._walked:
            return
        began_s = self._clock.monotonic_s()
        done = await self._admin.reencrypt(SYSTEM, go_on=self._members.leads, watch=self._watch)
        if done.resealed:
            took_ms = round((self._clock.monotonic_s() - began_s) * 1000)
            log.info("key_ring.reencrypted", active=active, values=done.resealed, duration_ms=took_ms)
        if done.unreadable:
            log.error("key_ring.unreadable_values", values=done.unreadable)
        found_nothing = done.stale == done.unreadable
        if done.complete and (found_nothing or not walk[1]):
            self._walked = walk

    async def stop(self) -> None:
        """Nobody waits for this process any more; or, when the store is away, not for long. Nothing unless it came
        in."""
        if self._told_s is None:
            return
        try:
            await self._store.leave_key_ring(self._holder)
        except StoreUnavailable as error:
            log.warning("key_ring.not_left", reason=str(error))

    async def _tell(self) -> None:
        await self._store.tell_key_ring(self._holder, self._name)
        self._told_s = self._clock.monotonic_s()

    def _watch(self, progress: Progress) -> None:
        self._metrics.key_ring_stale(progress.stale)
