"""The spool's files: segments ``<number>-<marker>.spool`` in one directory, only ever appended to.

Damage is copied to ``<number>-<marker>.<offset>.corrupt``, a body that cannot be applied to ``….refused``; both are
counted in ``set_aside``, and stepped over.
"""

import fcntl
import os
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from relay.domain.errors import StoreInUse
from relay.domain.ids import RawId
from relay.ports import PendingRaw
from relay.store.spool_frames import APPLIED, MARK_AT, MARKER_BYTES, Frame, read_frames, write_frame

_NAME: Final = re.compile(r"([0-9]{10})-([0-9a-f]{16})\.(?:spool|[0-9]+\.(?:corrupt|refused))\Z")


class _Segment(msgspec.Struct, kw_only=True):
    """One file. What lies beyond ``good_bytes`` was never acknowledged."""

    path: Path
    marker: bytes
    good_bytes: int


class SpoolDisk:
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
        self._given: list[tuple[Frame, PendingRaw]] = []
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

    def append(self, items: list[PendingRaw]) -> None:
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

    def oldest(self, most: int, most_bytes: int) -> list[PendingRaw]:
        """The first items that are not marked: ``most`` at most, of one segment, and no further one once there are
        ``most_bytes`` of bodies. Segments without any are deleted on the way."""
        while not self._given:
            if not self._finished:
                self._finish_active()
            if not self._finished:
                return []
            segment = self._finished[0]
            if self._frames is None:
                data = segment.path.read_bytes()[: segment.good_bytes]
                self._keep_damaged(segment, data)
                self._frames = read_frames(segment.marker, data)
            self._give(self._frames, most, most_bytes)
            if self._given:
                break
            segment.path.unlink(missing_ok=True)
            self._sync_directory()
            self._finished.popleft()
            self._frames = None
            self.size_bytes -= segment.good_bytes
        return [item for _, item in self._given]

    def refuse(self, ids: Collection[RawId]) -> None:
        """Set these items, which ``oldest`` gave, aside. If this fails they will be given again."""
        segment = self._finished[0]
        data = segment.path.read_bytes()
        refused = [frame for frame, item in self._given if item.id in ids]
        self._set_aside(segment, data, refused, "refused")

    def mark(self) -> None:
        """The items that ``oldest`` gave will not be given again: by this process, even if this fails."""
        given, self._given = self._given, []
        if not given:
            return
        fd = os.open(self._finished[0].path, os.O_WRONLY)
        try:
            for frame, _ in given:
                os.pwrite(fd, APPLIED, frame.offset + MARK_AT)
            self._fsync(fd)
        finally:
            os.close(fd)

    def _give(self, frames: Iterator[Frame], most: int, most_bytes: int) -> None:
        body_bytes = 0
        while len(self._given) < most and body_bytes < most_bytes:
            frame = next(frames, None)
            if frame is None:
                return
            if frame.item is not None:
                self._given.append((frame, frame.item))
                body_bytes += len(frame.item.raw.body)

    def _create(self) -> tuple[_Segment, int]:
        marker = self._token(MARKER_BYTES)
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
        self._set_aside(segment, data, damaged, "corrupt")

    def _set_aside(self, segment: _Segment, data: bytes, frames: list[Frame], why: str) -> None:
        for frame in frames:
            path = segment.path.with_suffix(f".{frame.offset}.{why}")
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data[frame.offset : frame.end])
                file.flush()
                self._fsync(fd)
        if frames:
            self._sync_directory()
            self.set_aside += len(frames)

    def _sync_directory(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._fsync(fd)
        finally:
            os.close(fd)
