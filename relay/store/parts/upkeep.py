"""The life of the store, and what ends in it by time."""

from functools import partial

from relay.domain.erasure import ErasureStage
from relay.domain.retention import RetentionKind
from relay.ports import Erased, Held, QueueDepth, Retired, Standing, Swept
from relay.store import turns
from relay.store.parts.part import Part
from relay.store.scripts import erase, health, replicas, retention, sweep


class UpkeepPart(Part):
    """See ``relay.ports.upkeep.UpkeepStore``."""

    async def check(self) -> None:
        await self._driver.read(health.check)

    async def recover(self, now_ms: int) -> int:
        return await self._driver.write(partial(sweep.recover, now_ms=now_ms), turns.ALONE)

    async def beat(self, replica: bytes, *, name: str, ttl_ms: int, join: bool) -> Standing | None:
        return await self._driver.write(
            lambda db: replicas.beat(db, replica, name=name, ttl_ms=ttl_ms, join=join), turns.ALONE
        )

    async def leave(self, replica: bytes) -> None:
        await self._driver.write(lambda db: replicas.leave(db, replica), turns.ALONE)

    async def held(self) -> list[Held]:
        return await self._driver.read(replicas.held)

    async def queue_depths(self, now_ms: int) -> list[QueueDepth]:
        return await self._driver.read(partial(health.queue_depths, now_ms=now_ms))

    async def sweep(
        self, now_ms: int, *, told_after_ms: int, no_report_after_ms: int, forget_keys_before_ms: int, limit: int
    ) -> Swept:
        return await self._driver.write(
            lambda db: sweep.sweep(
                db,
                now_ms,
                told_after_ms=told_after_ms,
                no_report_after_ms=no_report_after_ms,
                forget_keys_before_ms=forget_keys_before_ms,
                limit=limit,
            ),
            turns.ALONE,
        )

    async def retire(self, kind: RetentionKind, *, before_ms: int, now_ms: int, limit: int) -> Retired:
        # Alone: it locks many messages, or a whole table.
        return await self._driver.write(
            lambda db: retention.retire(db, kind, before_ms=before_ms, now_ms=now_ms, limit=limit), turns.ALONE
        )

    async def erase_number(
        self, stage: ErasureStage, mobile: int, *, position: str | None, now_ms: int, limit: int
    ) -> Erased:
        after = erase.read_position(stage, position)
        seen = await self._driver.read(lambda db: erase.look(db, stage, mobile, after, limit))
        struck = erase.Struck()
        if seen.keys:
            struck = await self._driver.write(
                lambda db: erase.strike(db, stage, mobile, seen.keys, now_ms), turns.ALONE
            )
        return Erased(erased=struck.erased, left_open=struck.left_open, next_position=erase.write_position(seen.last))
