"""The local spool: callbacks that were answered 200 while the database could not be written.

spool_frames.py  the bytes of one callback, and how damage is told from a write that a crash cut off
spool_disk.py    the files
spool.py         one write and one fsync for all that wait, and the replay

What it keeps is applied in the order in which it came, as long as whoever comes later asks ``waiting`` and goes behind.
That is one replica's order: each has a spool of its own, and what two of them took has none between them.
"""

import asyncio
import os
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from relay.domain.errors import SpoolUnavailable
from relay.domain.ids import RawId
from relay.ports import PendingRaw
from relay.store.spool_disk import SpoolDisk

T = TypeVar("T")

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""A segment that has grown to this is closed; replay holds one in memory."""
BATCH_BODIES: Final = 100
BATCH_BYTES: Final = 256 * 1024
"""What is applied together. Decision: many, because one by one every body would cost a commit and an fsync, and a
replay must be faster than what comes in behind it; few, because a send waits while they are written."""


class Spool:
    """The spool in one directory. ``start`` before use, ``close`` after it; blocking I/O runs in one thread of its own.

    ``fsync`` and ``token`` (so many random bytes) are passed in for tests.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        fsync: Callable[[int], None] = os.fsync,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._disk = SpoolDisk(directory, segment_bytes, fsync, token)
        self._is_closed = False
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._writing = asyncio.Lock()
        self._replaying = asyncio.Lock()
        self._joining: tuple[list[PendingRaw], asyncio.Task[None]] | None = None
        self._received_ms: deque[int] = deque()
        self._coming = 0
        self._gets_on = False
        self._replayed = asyncio.Event()
        self._unreadable = False

    async def start(self) -> None:
        """Lock the directory (made with mode 0700 if need be) and count what waits in it.

        Raises StoreInUse when another process has it, SpoolUnavailable when it cannot be read.
        """
        with _seam():
            self._received_ms.extend(await self._submit(self._disk.load))

    async def close(self) -> None:
        """Finish the writes that wait and the items that are being applied, then let the directory go.

        Appends and replays raise SpoolUnavailable from the call on.
        """
        if not self._is_closed:
            self._is_closed = True
            if self._joining is not None:
                await asyncio.wait([self._joining[1]])
            async with self._replaying, self._writing:
                with _seam():
                    await self._submit(self._disk.close)
                self._worker.shutdown()

    @property
    def waiting(self) -> bool:
        """Bodies wait to be applied, or are being written: what comes now goes behind them.

        Decision: False while the disk cannot be read, because what nobody can read must not hold up for ever what can
        be stored.
        """
        return (bool(self._received_ms) or self._coming > 0) and not self._unreadable

    @property
    def depth(self) -> int:
        """Bodies that wait to be applied; damaged ones do not count."""
        return len(self._received_ms)

    @property
    def oldest_ms(self) -> int | None:
        """When the body that is applied next was received; None when none waits."""
        return self._received_ms[0] if self._received_ms else None

    @property
    def size_bytes(self) -> int:
        """Size of the segments, in which applied bodies stay until their whole segment is."""
        return self._disk.size_bytes

    @property
    def set_aside(self) -> int:
        """Pieces that this process has put into files of their own, for a person to look at: damaged ones
        (``.corrupt``), and bodies that could not be applied (``.refused``)."""
        return self._disk.set_aside

    async def turn(self, within_s: float) -> bool:
        """See ``relay.ports.Spool.turn``."""
        if not self.waiting:
            return True
        if not self._gets_on or self.depth + self._coming > BATCH_BODIES:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._replayed.wait()
        return not self.waiting

    def append(self, item: PendingRaw) -> Coroutine[Any, Any, None]:
        """The item has its place now, and is on the disk when what is returned is done; whoever calls while one write
        runs shares the next one's fsync.

        Raises SpoolUnavailable when it cannot be written; then it will not be replayed, unless this process dies before
        it could take back what it had written.
        """
        if self._is_closed:
            return self._written(None)
        if self._joining is None:
            items: list[PendingRaw] = []
            self._joining = items, asyncio.create_task(self._commit(items))
        items, task = self._joining
        items.append(item)
        self._coming += 1
        return self._written(task)

    async def replay(self, apply: Callable[[list[PendingRaw]], Awaitable[Collection[RawId]]]) -> int:
        """Apply every item once, oldest first, those too that come in meanwhile; how many were applied.

        ``apply`` is given some at a time, and names those of them that can never be applied: they are set aside. An
        item counts as applied once ``apply`` returned and that is durable. What ``apply`` raises ends the replay; the
        next one begins with the same items. Raises SpoolUnavailable when the spool cannot be read or marked.
        """
        applied = 0
        async with self._replaying:
            self._replayed.clear()
            try:
                while items := await self._oldest():
                    applied += await self._apply(items, apply)
                    self._gets_on = True
            finally:
                self._gets_on = False
                self._replayed.set()
        return applied

    async def _apply(
        self, items: list[PendingRaw], apply: Callable[[list[PendingRaw]], Awaitable[Collection[RawId]]]
    ) -> int:
        refused = await apply(items)
        if refused:
            with _seam():
                await self._submit(self._disk.refuse, refused)
        # In the worker's queue before anything else can be, and shielded: a replay that is cancelled here must not let
        # the next one apply these items again.
        marked = asyncio.shield(self._submit(self._disk.mark))
        for _ in items:
            if self._received_ms:
                self._received_ms.popleft()
        with _seam():
            await marked
        return len(items) - len(refused)

    async def _oldest(self) -> list[PendingRaw]:
        self._check_open()
        try:
            with _seam():
                items = await self._submit(self._disk.oldest, BATCH_BODIES, BATCH_BYTES)
        except SpoolUnavailable:
            self._unreadable = True
            raise
        self._unreadable = False
        if not items:
            self._received_ms.clear()  # what was counted and did not come was damaged since
        return items

    async def _written(self, task: asyncio.Task[None] | None) -> None:
        if task is None:
            raise SpoolUnavailable("the spool is closed")
        with _seam():
            # Shielded: the others in the batch must not go down with a caller that gives up.
            await asyncio.shield(task)

    async def _commit(self, items: list[PendingRaw]) -> None:
        async with self._writing:
            self._joining = None
            try:
                await self._submit(self._disk.append, items)
                self._received_ms.extend(item.raw.received_ms for item in items)
            finally:
                self._coming -= len(items)

    def _submit(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._worker, work, *args)

    def _check_open(self) -> None:
        if self._is_closed:
            raise SpoolUnavailable("the spool is closed")


@contextmanager
def _seam() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise SpoolUnavailable("the spool's disk failed") from exc
