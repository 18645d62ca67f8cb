"""The local spool: callbacks that were answered 200 while the database could not be written.

A directory (one process at a time, by a lock) of segments ``<number>-<marker>.spool``, only ever appended to. A frame:

    marker 8 | mark 1 | payload length 4 | payload CRC-32 4 | CRC-32 of marker, length, CRC 4 | payload (msgpack)

The marker is random per segment, so that a body, which a stranger may have written, cannot pretend to hold a frame. The
mark turns from ``-`` to ``+`` once its item was applied: one byte in place, which works on a full disk too. The CRC of
the header tells a write that a crash cut off (header whole, payload short: never acknowledged, skipped) from damage,
which is copied to ``<number>-<marker>.<offset>.corrupt``, counted in ``set_aside``, and stepped over.
"""

import asyncio
import fcntl
import os
import re
import secrets
import struct
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from relay.domain.errors import StoreInUse, StoreUnavailable
from relay.domain.ids import AccountId, RawId
from relay.domain.provider import RawBody

T = TypeVar("T")

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""A segment that has grown to this is closed; replay holds one in memory."""

_HEADER: Final = struct.Struct(">8scIII")
_MARKER_BYTES: Final = 8
_MARK_AT: Final = _MARKER_BYTES
_PENDING: Final = b"-"
_APPLIED: Final = b"+"
_NAME: Final = re.compile(r"([0-9]{10})-([0-9a-f]{16})\.(?:spool|[0-9]+\.corrupt)\Z")


class SpooledBody(msgspec.Struct, frozen=True, kw_only=True):
    """One callback as it came. After a crash it may be applied twice: ``id`` is how the applier knows it again."""

    id: RawId
    account_id: AccountId
    raw: RawBody


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One whole frame at ``offset``; ``item`` is None when its bytes are damaged: then it is to be set aside."""

    offset: int
    end: int
    item: SpooledBody | None


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(SpooledBody)


def write_frame(marker: bytes, item: SpooledBody) -> bytes:
    """The bytes of one pending frame."""
    payload = _ENCODER.encode(item)
    crc = zlib.crc32(payload)
    return _HEADER.pack(marker, _PENDING, len(payload), crc, _header_crc(marker, len(payload), crc)) + payload


def read_frames(marker: bytes, data: bytes) -> Iterator[Frame]:
    """The pending frames of a segment in order, the damaged ones too; not the applied ones, nor a torn end."""
    offset = 0
    while offset < len(data):
        header = _read_header(marker, data, offset)
        if header is None:
            end = _next_frame(marker, data, offset)
            if end < len(data) or not _is_torn(marker, data[offset:]):
                yield Frame(offset=offset, end=end, item=None)
        else:
            mark, length, crc = header
            end = offset + _HEADER.size + length
            if end > len(data):
                return
            if mark != _APPLIED:
                yield Frame(offset=offset, end=end, item=_read_item(data[offset + _HEADER.size : end], crc))
        offset = end


def _header_crc(marker: bytes, length: int, crc: int) -> int:
    return zlib.crc32(struct.pack(">8sII", marker, length, crc))


def _read_header(marker: bytes, data: bytes, offset: int) -> tuple[bytes, int, int] | None:
    if len(data) - offset < _HEADER.size:
        return None
    found, mark, length, crc, header_crc = _HEADER.unpack_from(data, offset)
    return (mark, length, crc) if found == marker and header_crc == _header_crc(marker, length, crc) else None


def _read_item(payload: bytes, crc: int) -> SpooledBody | None:
    if zlib.crc32(payload) != crc:
        return None
    try:
        return _DECODER.decode(payload)
    except msgspec.MsgspecError:
        return None


def _next_frame(marker: bytes, data: bytes, offset: int) -> int:
    """Where the next readable header is after damage at ``offset``; the end of the data when there is none."""
    found = data.find(marker, offset + 1)
    while found >= 0 and _read_header(marker, data, found) is None:
        found = data.find(marker, found + 1)
    return len(data) if found < 0 else found


def _is_torn(marker: bytes, rest: bytes) -> bool:
    # A crash leaves the beginning of a header, or zeros where the file had grown but no data had come yet.
    return not rest.strip(b"\0") or (len(rest) < _HEADER.size and rest[:_MARKER_BYTES] == marker[: len(rest)])


class _Segment(msgspec.Struct, kw_only=True):
    """One file. What lies beyond ``good_bytes`` was never acknowledged."""

    path: Path
    marker: bytes
    good_bytes: int


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
        self._disk = _Disk(directory, segment_bytes, fsync, token)
        self._is_closed = False
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._writing = asyncio.Lock()
        self._replaying = asyncio.Lock()
        self._joining: tuple[list[SpooledBody], asyncio.Task[None]] | None = None
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

    async def append(self, item: SpooledBody) -> None:
        """The item is on the disk when this returns; whoever calls while one write runs shares the next one's fsync.

        Raises StoreUnavailable when it cannot be written; then it will not be replayed, unless this process dies before
        it could take back what it had written.
        """
        self._check_open()
        if self._joining is None:
            items: list[SpooledBody] = []
            self._joining = items, asyncio.create_task(self._commit(items))
        items, task = self._joining
        items.append(item)
        with _seam():
            # Shielded: the others in the batch must not go down with a caller that gives up.
            await asyncio.shield(task)

    async def replay(self, apply: Callable[[SpooledBody], Awaitable[None]]) -> int:
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

    async def _commit(self, items: list[SpooledBody]) -> None:
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


class _Disk:
    """The files. Every method blocks, raises OSError, and is called from one thread."""

    def __init__(
        self, directory: Path, segment_bytes: int, fsync: Callable[[int], None], token: Callable[[int], bytes]
    ) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._token = token
        self._lock: int | None = None
        self._last_number = 0
        self._active: tuple[_Segment, int] | None = None
        self._finished: deque[_Segment] = deque()
        self._frames: Iterator[Frame] | None = None
        self._head: Frame | None = None
        self.size_bytes = 0
        self.set_aside = 0

    def load(self) -> list[int]:
        """Lock; find the segments; when each waiting body was received, in order."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise StoreInUse(f"another process uses the spool in {self._directory}") from exc
        received_ms: list[int] = []
        for path in sorted(self._directory.iterdir()):
            named = _NAME.match(path.name)
            if named is None:
                continue
            # The number of a damaged piece is not used again either.
            self._last_number = max(self._last_number, int(named[1]))
            if path.suffix == ".spool":
                data = path.read_bytes()
                segment = _Segment(path=path, marker=bytes.fromhex(named[2]), good_bytes=len(data))
                self._finished.append(segment)
                self.size_bytes += len(data)
                frames = read_frames(segment.marker, data)
                received_ms += [frame.item.raw.received_ms for frame in frames if frame.item is not None]
        return received_ms

    def close(self) -> None:
        """Let the directory go."""
        self._finish_active()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def append(self, items: list[SpooledBody]) -> None:
        """One write and one fsync for all items; when either fails, none of them is there."""
        segment, fd = self._active or self._create()
        data = b"".join([write_frame(segment.marker, item) for item in items])
        try:
            written = 0
            while written < len(data):
                written += os.write(fd, data[written:])
            self._fsync(fd)
        except OSError:
            self._abandon_active()
            raise
        segment.good_bytes += len(data)
        self.size_bytes += len(data)
        if segment.good_bytes >= self._segment_bytes:
            self._finish_active()

    def first(self) -> SpooledBody | None:
        """The first item that is not marked; segments without one are deleted on the way."""
        while self._head is None:
            if not self._finished:
                self._finish_active()
            if not self._finished:
                return None
            segment = self._finished[0]
            if self._frames is None:
                data = segment.path.read_bytes()[: segment.good_bytes]
                self._keep_damaged(segment, data)
                self._frames = read_frames(segment.marker, data)
            self._head = next((frame for frame in self._frames if frame.item is not None), None)
            if self._head is not None:
                break
            segment.path.unlink(missing_ok=True)
            self._sync_directory()
            self._finished.popleft()
            self._frames = None
            self.size_bytes -= segment.good_bytes
        return self._head.item

    def mark(self) -> None:
        """The item that ``first`` gave will not be given again: by this process, even if this fails."""
        if self._head is None:
            return
        frame, self._head = self._head, None
        fd = os.open(self._finished[0].path, os.O_WRONLY)
        try:
            os.pwrite(fd, _APPLIED, frame.offset + _MARK_AT)
            self._fsync(fd)
        finally:
            os.close(fd)

    def _create(self) -> tuple[_Segment, int]:
        marker = self._token(_MARKER_BYTES)
        self._last_number += 1
        path = self._directory / f"{self._last_number:010}-{marker.hex()}.spool"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._active = _Segment(path=path, marker=marker, good_bytes=0), fd
        try:
            self._sync_directory()
        except OSError:
            self._abandon_active()
            raise
        return self._active

    def _finish_active(self) -> None:
        if self._active is not None:
            segment, fd = self._active
            self._active = None
            self._finished.append(segment)
            os.close(fd)

    def _abandon_active(self) -> None:
        # A failed fsync may have thrown the pages away and then succeeds: never write to that file again.
        if self._active is not None:
            segment, fd = self._active
            with suppress(OSError):
                os.ftruncate(fd, segment.good_bytes)
                self._fsync(fd)
            self._finish_active()

    def _keep_damaged(self, segment: _Segment, data: bytes) -> None:
        # Before anything of the segment is applied, so that a failure here can simply be tried again.
        damaged = [frame for frame in read_frames(segment.marker, data) if frame.item is None]
        for frame in damaged:
            path = segment.path.with_suffix(f".{frame.offset}.corrupt")
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data[frame.offset : frame.end])
                file.flush()
                self._fsync(fd)
        if damaged:
            self._sync_directory()
            self.set_aside += len(damaged)

    def _sync_directory(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._fsync(fd)
        finally:
            os.close(fd)
