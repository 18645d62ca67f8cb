"""Secrets at rest: AES-256-GCM under a ring of keys.

A sealed value:  version 1 | length of the key id 1 | key id | nonce 12 | ciphertext and tag

The key id says which key opens it, so a new key can come before the old one goes. ``place`` (``table:column:row``) is
authenticated along with it: a value that was copied to another row does not open.

A ring is text: ``<key id>:<base64 of 32 bytes>``, one key per line or several with commas; ``#`` begins a comment line.
The first key seals, all of them open. To change keys: put a new line first, restart, re-encrypt, take the old one away.
"""

import base64
import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.domain.errors import KeyRingError

FILE_NAME: Final = "keyring"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
"""Random nonces are safe for 2^32 values per key (NIST SP 800-38D 8.3)."""

_VERSION: Final = 1
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
_FIX: Final = "set RELAY_KEYRING_FILE to a file with one line `<key id>:<base64 of 32 random bytes>`, mode 0600"
# Decision: a file that the operator names may be readable by its group, because that is how Kubernetes mounts secrets
# for a service that is not root; the file that we made may not.
_OURS_ALLOWS: Final = 0o700
_NAMED_ALLOWS: Final = 0o740


class KeyRing:
    """Seals and opens. Made by ``parse`` or ``load``; never shows a key. ``token`` gives so many random bytes."""

    def __init__(self, keys: dict[str, bytes], token: Callable[[int], bytes] = secrets.token_bytes) -> None:
        """``keys`` by id, the one that seals first. Raises KeyRingError when there is none."""
        if not keys:
            raise KeyRingError(f"the key ring holds no key: {_FIX}")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._active = next(iter(keys))
        self._head = bytes([_VERSION, len(self._active)]) + self._active.encode()
        self._token = token

    def __repr__(self) -> str:
        """Without the keys."""
        return f"KeyRing(active={self._active!r}, keys={len(self._ciphers)})"

    @staticmethod
    def parse(text: str, *, token: Callable[[int], bytes] = secrets.token_bytes) -> "KeyRing":
        """The ring that ``text`` writes down. Raises KeyRingError, which names the line and shows none of it."""
        keys: dict[str, bytes] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line.lstrip().startswith("#"):
                continue
            for entry in filter(None, (part.strip() for part in line.split(","))):
                key_id, key = _read_key(entry, number)
                if key_id in keys:
                    raise KeyRingError(f"key ring, line {number}: its key id is there twice")
                keys[key_id] = key
        return KeyRing(keys, token)

    @staticmethod
    def load(
        *,
        value: str | None,
        file: Path | None,
        data_dir: Path,
        create: bool,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> "KeyRing":
        """The ring in ``value``, else in ``file``, else in ``data_dir/keyring``, which ``create`` makes if need be.

        Raises KeyRingError, which says what to do, when there is none, it cannot be read, others may read it, or both
        ``value`` and ``file`` are given.
        """
        if value and file is not None:
            raise KeyRingError("RELAY_KEYRING and RELAY_KEYRING_FILE are both set: keep one")
        if value:
            return KeyRing.parse(value, token=token)
        if file is not None:
            return KeyRing.parse(_read_file(file, _NAMED_ALLOWS), token=token)
        own = data_dir / FILE_NAME
        if create and not own.exists():
            _make_file(own, token)
        return KeyRing.parse(_read_file(own, _OURS_ALLOWS), token=token)

    def seal(self, plain: bytes, *, place: str) -> bytes:
        """``plain`` sealed with the active key for this place."""
        nonce = self._token(NONCE_BYTES)
        return self._head + nonce + self._ciphers[self._active].encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """What was sealed for this place. Raises KeyRingError when its key is not here, or it was changed or moved."""
        key_id, start = _read_head(sealed)
        cipher = self._ciphers.get(key_id)
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


def write_key(key_id: str, key: bytes) -> str:
    """One line of a ring, without the line break."""
    return f"{key_id}:{base64.b64encode(key).decode()}"


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
        raise KeyRingError(f"key ring, line {line}: not `<key id>:<base64 of {KEY_BYTES} bytes>`")
    return key_id, key


def _read_head(sealed: bytes) -> tuple[str, int]:
    start = 2 + sealed[1] if len(sealed) >= 2 else 0
    if start == 0 or sealed[0] != _VERSION or len(sealed) < start + NONCE_BYTES:
        raise KeyRingError("this is not a sealed value, or a newer release sealed it")
    try:
        return sealed[2:start].decode("ascii"), start
    except UnicodeDecodeError as exc:
        raise KeyRingError("this is not a sealed value: its key id cannot be read") from exc


def _read_file(path: Path, allows: int) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError as exc:
        raise KeyRingError(f"there is no key ring at {path}: {_FIX}") from exc
    except OSError as exc:
        raise KeyRingError(f"the key ring at {path} cannot be read by this user: chown it to the service") from exc
    if mode & ~allows:
        raise KeyRingError(f"the key ring at {path} has mode {mode:04o}, so others can use it: chmod 600 {path}")
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise KeyRingError(f"the key ring at {path} is not text: {_FIX}") from exc


def _make_file(path: Path, token: Callable[[int], bytes]) -> None:
    """A new ring with one key: whole or not there at all, also when two processes start at once."""
    line = write_key(f"k{token(4).hex()}", token(KEY_BYTES))
    draft = path.with_name(f"{path.name}.{token(8).hex()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "w") as file:
                file.write(
                    f"# Keys of relay. Back this up apart from the database: without it, secrets are lost.\n{line}\n"
                )
                file.flush()
                os.fsync(fd)
            with suppress(FileExistsError):  # another process was first: its ring counts
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as exc:
        raise KeyRingError(f"no key ring can be made at {path}: {_FIX}") from exc
