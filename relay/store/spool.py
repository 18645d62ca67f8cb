"""The local spool: callbacks that were answered 200 while the database could not be written.

spool_frames.py  the bytes of one callback, and how damage is told from a write that a crash cut off
spool_disk.py    the files
spool.py         one write and one fsync for all that wait, and the replay
"""

import asyncio
import os
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from relay.domain.errors import StoreUnavailable
from relay.ports import PendingRaw
from relay.store.spool_disk import SpoolDisk

T = TypeVar("T")

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""A segment that has grown to this is closed; replay holds one in memory."""


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

    async def start(self) -> None:
        """Lock the directory (made with mode 0700 if need be) and count what waits in it.

        Raises StoreInUse when another process has it, StoreUnavailable when it cannot be read.
        """
        with _seam():
            self._received_ms.extend(await self._submit(self._disk.load))

    async def close(self) -> None:
        """Finish the writes that wait and the item that is being applied, then let the directory go.

        Appends and replays raise StoreUnavailable from the call on.
        """
        if not self._is_closed:
            self._is_closed = True
            if self._joining is not None:
                await asyncio.wait([self._joining[1]])
            async with self._replaying:
                with _seam():
                    await self._submit(self._disk.close)
                self._worker.shutdown()

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
        """Damaged pieces found by this process; each is in a ``.corrupt`` file for a person to look at."""
        return self._disk.set_aside

    async def append(self, item: PendingRaw) -> None:
        """The item is on the disk when this returns; whoever calls while one write runs shares the next one's fsync.

        Raises StoreUnavailable when it cannot be written; then it will not be replayed, unless this process dies before
        it could take back what it had written.
        """
        self._check_open()
        if self._joining is None:
            items: list[PendingRaw] = []
            self._joining = items, asyncio.create_task(self._commit(items))
        items, task = self._joining
        items.append(item)
        with _seam():
            # Shielded: the others in the batch must not go down with a caller that gives up.
            await asyncio.shield(task)

    async def replay(self, apply: Callable[[PendingRaw], Awaitable[object]]) -> int:
        """Apply every item once, oldest first, those too that come in meanwhile; how many were applied.

        An item counts as applied once ``apply`` returned and that is durable. What ``apply`` raises ends the replay;
        the next one begins with the same item. Raises StoreUnavailable when the spool cannot be read or marked.
        """
        applied = 0
        async with self._replaying:
            while True:
                self._check_open()
                with _seam():
                    item = await self._submit(self._disk.first)
                if item is None:
                    self._received_ms.clear()  # what was counted and did not come was damaged since
                    return applied
                await apply(item)
                # In the worker's queue before anything else can be, and shielded: a replay that is cancelled here must
                # not let the next one apply this item again.
                marked = asyncio.shield(self._submit(self._disk.mark))
                applied += 1
                if self._received_ms:
                    self._received_ms.popleft()
                with _seam():
                    await marked

    async def _commit(self, items: list[PendingRaw]) -> None:
        async with self._writing:
            self._joining = None
            await self._submit(self._disk.append, items)
            self._received_ms.extend(item.raw.received_ms for item in items)

    def _submit(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._worker, work, *args)

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("the spool is closed")


@contextmanager
def _seam() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreUnavailable("the spool's disk failed") from exc
