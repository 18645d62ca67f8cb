"""The frames of the spool's segment files.

    marker 8 | mark 1 | payload length 4 | payload CRC-32 4 | CRC-32 of marker, length, CRC 4 | payload (msgpack)

The marker is random per segment, so that a body, which a stranger may have written, cannot pretend to hold a frame. The
mark turns from ``-`` to ``+`` once its item was applied: one byte in place, which works on a full disk too. The CRC of
the header tells a write that a crash cut off (header whole, payload short: never acknowledged, skipped) from damage.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

from relay.ports import PendingRaw

MARKER_BYTES: Final = 8
MARK_AT: Final = MARKER_BYTES
APPLIED: Final = b"+"
_PENDING: Final = b"-"
_HEADER: Final = struct.Struct(">8scIII")


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One whole frame at ``offset``; ``item`` is None when its bytes are damaged: then it is to be set aside."""

    offset: int
    end: int
    item: PendingRaw | None


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(PendingRaw)


def write_frame(marker: bytes, item: PendingRaw) -> bytes:
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
            if mark != APPLIED:
                yield Frame(offset=offset, end=end, item=_read_item(data[offset + _HEADER.size : end], crc))
        offset = end


def _header_crc(marker: bytes, length: int, crc: int) -> int:
    return zlib.crc32(struct.pack(">8sII", marker, length, crc))


def _read_header(marker: bytes, data: bytes, offset: int) -> tuple[bytes, int, int] | None:
    if len(data) - offset < _HEADER.size:
        return None
    found, mark, length, crc, header_crc = _HEADER.unpack_from(data, offset)
    return (mark, length, crc) if found == marker and header_crc == _header_crc(marker, length, crc) else None


def _read_item(payload: bytes, crc: int) -> PendingRaw | None:
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
    return not rest.strip(b"\0") or (len(rest) < _HEADER.size and rest[:MARKER_BYTES] == marker[: len(rest)])
