"""The store itself, who uses it, and what ends in it by time alone; a part of ``relay.ports.Store``."""

from typing import Protocol

from relay.domain.erasure import ErasureStage
from relay.domain.retention import RetentionKind
from relay.ports.values import Erased, Held, QueueDepth, Retired, Standing, Swept


class UpkeepStore(Protocol):
    """Whether it serves, the replicas that share it, and the end of what waited or was kept for long enough."""

    async def check(self) -> None:
        """Raises StoreUnavailable or SchemaMissing when the store cannot serve."""

    async def recover(self, now_ms: int) -> int:
        """For a store that only this process uses: every lease of a dead process ends. ``submitting`` becomes
        ``unconfirmed`` (with on_unconfirmed ``resend``: queued again; ``fail``: failed). The number of submissions."""

    async def beat(self, replica: bytes, *, name: str, ttl_ms: int, join: bool) -> Standing | None:
        """The replica (8 bytes, with which all its claims begin) lives for ``ttl_ms`` more, by the database's clock.
        None when it is not there, unless it is to ``join``: others have buried it.

        Buries those whose time is over: their ``submitting`` is for the next sweep, their deliveries are free, their
        duty is. A replica whose own time was over buries nobody. Then takes or renews the duty, when nobody else has
        it."""

    async def leave(self, replica: bytes) -> None:
        """The same end for this replica, at once."""

    async def held(self) -> list[Held]:
        """What is leased now, by all replicas."""

    async def queue_depths(self, now_ms: int) -> list[QueueDepth]:
        """Queues ``submissions``, ``deliveries``, ``raw``; each depth counted up to 10,000 and no further."""

    async def sweep(
        self, now_ms: int, *, told_after_ms: int, no_report_after_ms: int, forget_keys_before_ms: int, limit: int
    ) -> Swept:
        """End what waited too long: submissions past ``expires_at``; unconfirmed ones get their event after
        ``told_after_ms``; silent ones become ``no_report`` after ``no_report_after_ms``. Idempotency keys used before
        ``forget_keys_before_ms`` are forgotten. At most ``limit`` of each kind in one call."""

    async def retire(self, kind: RetentionKind, *, before_ms: int, now_ms: int, limit: int) -> Retired:
        """Delete or erase what of this kind is older than ``before_ms``, about ``limit`` rows of it, where a partition
        goes as a whole; what is not final, not applied or still needed stays. Raises nothing for what is locked by
        others: that goes at another time."""

    async def erase_number(
        self, stage: ErasureStage, mobile: int, *, position: str | None, now_ms: int, limit: int
    ) -> Erased:
        """Erase the number from the next ``limit`` rows of this stage. Two transactions: one looks beside the writer,
        one reads again and erases. In place of a recipient's number comes an ordinal that reads "erased"."""
