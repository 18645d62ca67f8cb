"""Where the text of a key ring lies, and how it is changed there: whole or not at all, whatever is killed when.

``RELAY_KEYRING`` holds the text itself: then it is the operator's to change. ``RELAY_KEYRING_FILE`` names a file;
without both it is ``keyring`` in the data directory, which development makes at its first start.
"""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from relay.domain.errors import KeyRingError
from relay.store.sealing import FIX, KEY_BYTES, read_keys, write_key

FILE_NAME: Final = "keyring"
_DRAFT: Final = ".next"
_NOTE: Final = "# Keys of relay. Back this up apart from the database: without it, secrets are lost.\n"
# Decision: a file that the operator names may be readable by its group, because that is how Kubernetes mounts secrets
# for a service that is not root; the file that we made may not.
_OURS_ALLOWS: Final = 0o700
_NAMED_ALLOWS: Final = 0o740

Stamp = tuple[int, int, int]
"""Modification in ns, inode, size: a file whose stamp is the same is the same."""


class RingSource:
    """Where this installation's ring is: a ``value``, else the file that was ``file`` named, else the one in
    ``data_dir``, which ``create`` makes if need be. Raises KeyRingError when both are given."""

    def __init__(self, *, value: str | None, file: Path | None, data_dir: Path, create: bool) -> None:
        if value and file is not None:
            raise KeyRingError("RELAY_KEYRING and RELAY_KEYRING_FILE are both set: keep one")
        self.value = value or None
        self.path = None if self.value else file or data_dir / FILE_NAME
        """None: there is no file."""
        self._allows = _NAMED_ALLOWS if file is not None else _OURS_ALLOWS
        self._create = create and file is None

    def read_first(self, token: Callable[[int], bytes] = secrets.token_bytes) -> str:
        """``read``, which makes the file where that is allowed: later its absence is a fault."""
        if self._create and self.path is not None and not self.path.exists():
            _make_file(self.path, token)
        return self.read()

    def read(self) -> str:
        """The text. Raises KeyRingError, which says what to do, when there is none, it cannot be read, or others may
        read it."""
        if self.path is None:
            return self.value or ""
        return _read_file(self.path, self._allows)

    def stamp(self) -> Stamp | None:
        """Changes whenever the file does; None when there is no file."""
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def edit(self, change: Callable[[str], str]) -> str:
        """Replace the text by what ``change`` makes of it; the new one. One process at a time; mode and owner stay.
        Raises KeyRingError when it cannot be written here."""
        if self.path is None:
            raise KeyRingError("the key ring is the value of RELAY_KEYRING: change it there, and restart")
        # A mounted secret is a link: what it leads to is replaced, not the link.
        path = self.path.resolve()
        try:
            with _held(path.parent):
                new = change(_read_file(path, self._allows))
                _replace(path, new)
        except OSError as exc:
            raise KeyRingError(
                f"the key ring at {path} cannot be changed here ({exc.strerror}): `relay keyring` with --print writes "
                "down what it is to become"
            ) from exc
        return new


class EditedRing:
    """``ports.RingFile`` on a source."""

    def __init__(self, source: RingSource) -> None:
        self._source = source

    def add(self) -> str:
        made: list[str] = []

        def change(text: str) -> str:
            key_id, new = adding(text)
            made.append(key_id)
            return new

        self._source.edit(change)
        return made[0]

    def activate(self, key_id: str) -> None:
        self._source.edit(lambda text: activating(text, key_id))

    def remove(self, key_id: str) -> None:
        self._source.edit(lambda text: removing(text, key_id))


def adding(text: str, token: Callable[[int], bytes] = secrets.token_bytes) -> tuple[str, str]:
    """The id of a new key, and the text with it as its last: it opens, and seals nothing yet."""
    taken = {key_id for key_id, _ in read_keys(text)}
    while (key_id := f"k{token(4).hex()}") in taken:
        pass
    return key_id, _written(text, [*read_keys(text), (key_id, token(KEY_BYTES))])


def activating(text: str, key_id: str) -> str:
    """The text with this key first. Raises KeyRingError when it is not there."""
    keys = read_keys(text)
    if key_id not in dict(keys):
        raise KeyRingError(f"the key ring has no key {key_id!r}")
    # `sorted` keeps the order of the others.
    return _written(text, sorted(keys, key=lambda entry: entry[0] != key_id))


def removing(text: str, key_id: str) -> str:
    """The text without this key, whether it was there or not."""
    return _written(text, [entry for entry in read_keys(text) if entry[0] != key_id])


def _written(before: str, keys: list[tuple[str, bytes]]) -> str:
    notes = [line + "\n" for line in before.splitlines() if line.lstrip().startswith("#")]
    return "".join([*notes, *(write_key(key_id, key) + "\n" for key_id, key in keys)])


def _read_file(path: Path, allows: int) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError as exc:
        raise KeyRingError(f"there is no key ring at {path}: {FIX}") from exc
    except PermissionError as exc:
        raise KeyRingError(f"the key ring at {path} cannot be read by this user: chown it to the service") from exc
    except OSError as exc:
        raise KeyRingError(f"the key ring at {path} cannot be read ({exc.strerror}): {FIX}") from exc
    if mode & ~allows:
        raise KeyRingError(f"the key ring at {path} has mode {mode:04o}, so others can use it: chmod 600 {path}")
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise KeyRingError(f"the key ring at {path} is not text: {FIX}") from exc


@contextlib.contextmanager
def _held(directory: Path) -> Iterator[None]:
    """No other process changes a ring in this directory; the kernel lets go when the process dies."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
        os.fsync(held)
    finally:
        os.close(held)


def _replace(path: Path, text: str) -> None:
    before = path.stat()
    # One name for all: what a killed process left is written over by the next.
    draft = path.with_name(path.name + _DRAFT)
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, before.st_uid, before.st_gid)
            os.fchmod(fd, stat.S_IMODE(before.st_mode))
            file.write(text)
            file.flush()
            os.fsync(fd)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _make_file(path: Path, token: Callable[[int], bytes]) -> None:
    """A new ring with one key: whole or not there at all, also when two processes start at once."""
    line = write_key(f"k{token(4).hex()}", token(KEY_BYTES))
    draft = path.with_name(f"{path.name}.{token(8).hex()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "w") as file:
                file.write(f"{_NOTE}{line}\n")
                file.flush()
                os.fsync(fd)
            with contextlib.suppress(FileExistsError):  # another process was first: its ring counts
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as exc:
        raise KeyRingError(f"no key ring can be made at {path}: {FIX}") from exc
