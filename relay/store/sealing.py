"""Secrets at rest: AES-256-GCM under a ring of keys.

A sealed value:  version 1 | length of the key id 1 | key id | nonce 12 | ciphertext and tag

The key id says which key opens it, so a new key can come before the old one goes. ``place`` (``table:column:row``) is
authenticated along with it: a value that was copied to another row does not open.

A ring is text: ``<key id>:<base64 of 32 bytes>``, one key per line or several with commas; ``#`` begins a comment line.
The first key seals, all of them open. Where the text lies is the matter of ``ring_files``, and how a running process
comes to another ring that of ``live_ring``.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.domain.errors import KeyRingError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
"""Random nonces are safe for 2^32 values per key (NIST SP 800-38D 8.3)."""
HEAD_BYTES: Final = 34
"""No head of a sealed value is longer: version, length, and a key id of at most 32 characters."""
FIX: Final = (
    "restore the one that belongs to the database; for a new installation set RELAY_KEYRING_FILE to a file with one "
    "line `<key id>:<base64 of 32 random bytes>`, mode 0600"
)

_VERSION: Final = 1
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")


def _no_newer() -> "KeyRing | None":
    return None


class KeyRing:
    """Seals and opens, and never changes. Made by ``parse``; never shows a key. ``token`` gives so many random bytes.

    ``newer`` is asked for the ring of now when a value was sealed with a key that is not here: another process may have
    come to a new key a moment before this one.
    """

    def __init__(
        self,
        keys: dict[str, bytes],
        token: Callable[[int], bytes] = secrets.token_bytes,
        newer: Callable[[], "KeyRing | None"] = _no_newer,
    ) -> None:
        """``keys`` by id, the one that seals first. Raises KeyRingError when there is none."""
        if not keys:
            raise KeyRingError(f"the key ring holds no key: {FIX}")
        self.active = next(iter(keys))
        """The id of the key that seals."""
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        # Tells equal keys from others under the same id; 256 random bits cannot be guessed from it.
        self._prints = {key_id: hashlib.sha256(key).digest() for key_id, key in keys.items()}
        self._head = head_of(self.active)
        self._token = token
        self._newer = newer

    def __repr__(self) -> str:
        """Without the keys."""
        return f"KeyRing(active={self.active!r}, keys={len(self._ciphers)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Of all keys, the one that seals first."""
        return tuple(self._ciphers)

    @staticmethod
    def parse(
        text: str,
        *,
        token: Callable[[int], bytes] = secrets.token_bytes,
        newer: Callable[[], "KeyRing | None"] = _no_newer,
    ) -> "KeyRing":
        """The ring that ``text`` writes down. Raises KeyRingError, which names the line and shows none of it."""
        return KeyRing(dict(read_keys(text)), token, newer)

    def seal(self, plain: bytes, *, place: str) -> bytes:
        """``plain`` sealed with the active key for this place."""
        nonce = self._token(NONCE_BYTES)
        return self._head + nonce + self._ciphers[self.active].encrypt(nonce, plain, place.encode())

    def seal_with(self, key_id: str, plain: bytes, *, place: str) -> bytes:
        """The same with one of the other keys. Raises KeyError when it is not here."""
        nonce = self._token(NONCE_BYTES)
        return head_of(key_id) + nonce + self._ciphers[key_id].encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """What was sealed for this place. Raises KeyRingError when its key is not here, or it was changed or moved."""
        key_id, start = _read_head(sealed)
        cipher = self._ciphers.get(key_id) or self._newer_cipher(key_id)
        if cipher is None:
            raise KeyRingError(f"{_column(place)} was sealed with key {key_id!r}, which is not in the key ring")
        nonce = sealed[start : start + NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[start + NONCE_BYTES :], place.encode())
        except (InvalidTag, ValueError) as exc:
            raise KeyRingError(f"{_column(place)} does not open with key {key_id!r}: one of them was changed") from exc

    def is_current(self, sealed: bytes) -> bool:
        """Whether the active key sealed it; if not, re-encryption is due."""
        return sealed.startswith(self._head)

    def continues(self, other: "KeyRing") -> bool:
        """Whether this can be the ring that ``other`` became: they have a key in common, and no id means two keys."""
        common = self._prints.keys() & other._prints.keys()
        return bool(common) and all(self._prints[key_id] == other._prints[key_id] for key_id in common)

    def opening_also(self, other: "KeyRing") -> "KeyRing":
        """This ring, which opens what ``other`` opens, too."""
        both = KeyRing.__new__(KeyRing)
        both.__dict__ = self.__dict__ | {
            "_ciphers": self._ciphers | {k: v for k, v in other._ciphers.items() if k not in self._ciphers},
            "_prints": other._prints | self._prints,
        }
        return both

    def _newer_cipher(self, key_id: str) -> AESGCM | None:
        newer = self._newer()
        return None if newer is None else newer._ciphers.get(key_id)


def write_key(key_id: str, key: bytes) -> str:
    """One line of a ring, without the line break."""
    return f"{key_id}:{base64.b64encode(key).decode()}"


def read_keys(text: str) -> list[tuple[str, bytes]]:
    """The keys of a ring by their ids, in their order. Raises KeyRingError, which names the line and shows none of
    it."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for entry in filter(None, (part.strip() for part in line.split(","))):
            key_id, key = _read_key(entry, number)
            if key_id in keys:
                raise KeyRingError(f"key ring, line {number}: its key id is there twice: keep one of the two")
            keys[key_id] = key
    return list(keys.items())


def head_of(key_id: str) -> bytes:
    """How every value begins that this key sealed."""
    return bytes([_VERSION, len(key_id)]) + key_id.encode()


def sealing_key(beginning: bytes) -> str:
    """The id of the key that sealed a value, of its first ``HEAD_BYTES``. Raises KeyRingError when it is none."""
    return _read_head(beginning, least=0)[0]


def _column(place: str) -> str:
    # The row may be something that a caller wrote.
    return ":".join(place.split(":")[:2])


def _read_key(entry: str, line: int) -> tuple[str, bytes]:
    key_id, colon, encoded = entry.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error, and what is not ASCII
        key = b""
    if not colon or not _KEY_ID.match(key_id) or len(key) != KEY_BYTES:
        raise KeyRingError(
            f"key ring, line {line}: not `<key id>:<base64 of {KEY_BYTES} bytes>`: restore it from its backup"
        )
    return key_id, key


def _read_head(sealed: bytes, *, least: int = NONCE_BYTES) -> tuple[str, int]:
    start = 2 + sealed[1] if len(sealed) >= 2 else 0
    if start == 0 or sealed[0] != _VERSION or len(sealed) < start + least:
        raise KeyRingError("this is not a sealed value, or a newer release sealed it")
    try:
        return sealed[2:start].decode("ascii"), start
    except UnicodeDecodeError as exc:
        raise KeyRingError("this is not a sealed value: its key id cannot be read") from exc
