"""The machine's own clock, randomness and secrets, behind the ports; and the clock of several machines."""

import asyncio
import os
import random
import secrets
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import uuid_utils

from relay.domain.errors import SecretUnreadable
from relay.ports import Clock, Entropy

_TIME_DIGITS: Final = 12
_MOST_SECRET_CHARACTERS: Final = 128
_OWN: Final = ("RELAY_", "PG")
"""Variables of the gateway itself, and of its database's client, are no passwords of accounts."""


class SystemClock:
    """``ports.Clock`` of this machine."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Really wait."""
        await asyncio.sleep(seconds)


class SharedClock:
    """``ports.Clock`` of replicas that share a database: they speak of the database's time, whatever theirs says."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self.ahead_ms = 0
        """How far the database's clock is ahead of ``own``."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC, as the database has it."""
        return self._own.now_ms() + self.ahead_ms

    def monotonic_s(self) -> float:
        """The machine's own."""
        return self._own.monotonic_s()

    async def sleep(self, seconds: float) -> None:
        """By the machine's own."""
        await self._own.sleep(seconds)

    def set_ahead(self, milliseconds: int) -> None:
        """The database's clock is so far ahead."""
        self.ahead_ms = milliseconds


class SharedEntropy:
    """``ports.Entropy`` of replicas that share a database: their ids begin with the database's time, because what is
    looked for by time is looked for in a range of ids."""

    def __init__(self, own: Entropy) -> None:
        self._own = own
        self.ahead_ms = 0
        """How far the database's clock is ahead of the one that ``own`` makes ids with."""

    def new_id(self, prefix: str) -> str:
        """``prefix`` and a UUIDv7 (RFC 9562, section 5.7: the first 48 bits are the time)."""
        made = self._own.new_id(prefix)
        digits = made[len(prefix) :]
        at_ms = max(0, int(digits[:_TIME_DIGITS], 16) + self.ahead_ms)
        return f"{prefix}{at_ms:0{_TIME_DIGITS}x}{digits[_TIME_DIGITS:]}"

    def token(self, size_bytes: int) -> bytes:
        """The machine's own."""
        return self._own.token(size_bytes)

    def jitter(self) -> float:
        """The machine's own."""
        return self._own.jitter()

    def set_ahead(self, milliseconds: int) -> None:
        """The database's clock is so far ahead."""
        self.ahead_ms = milliseconds


class SystemEntropy:
    """``ports.Entropy`` of this machine."""

    def new_id(self, prefix: str) -> str:
        """``prefix`` and a UUIDv7."""
        return prefix + uuid_utils.uuid7().hex

    def token(self, size_bytes: int) -> bytes:
        """From the operating system."""
        return secrets.token_bytes(size_bytes)

    def jitter(self) -> float:
        """0..1; spreads retries, protects nothing."""
        return random.random()  # noqa: S311 - spreads retries, protects nothing


class SystemSecrets:
    """``ports.SecretReader`` of this machine: files below ``directories``, and the environment.

    Decision: a secret is one line of at most 128 characters in a regular file, which most files are not, because who
    may administer accounts chooses what is read, and where its MD5 is sent to.
    """

    def __init__(self, directories: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        """``environ``: that of the process, unless another is given."""
        self._directories = tuple(directories)
        self._environ = os.environ if environ is None else environ

    async def read(self, reference: str) -> str:
        """What stands there now, without the end of its line. Raises SecretUnreadable."""
        kind, _, where = reference.partition(":")
        if kind == "file":
            return _one_line(await asyncio.to_thread(self._read_file, where))
        if kind == "env":
            return _one_line(self._read_variable(where))
        raise SecretUnreadable("a reference reads file:/absolute/path or env:NAME")

    def _read_variable(self, name: str) -> str:
        if name.startswith(_OWN):
            raise SecretUnreadable("variables of the gateway itself are not read")
        value = self._environ.get(name)
        if value is None:
            raise SecretUnreadable("the variable is not set")
        return value

    def _read_file(self, path: str) -> str:
        if not path.startswith("/"):
            raise SecretUnreadable("the path is not absolute")
        try:
            # The real one, so that no link leads out of the directories; none outside is told to exist.
            real = Path(path).resolve()
            if not any(real.is_relative_to(Path(directory).resolve()) for directory in self._directories):
                raise SecretUnreadable(
                    "the file is in no directory that secrets are read from: RELAY_SECRET_DIRS is "
                    f"{','.join(self._directories) or 'empty'}"
                )
            # Without waiting: somebody may have put a pipe there.
            fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise SecretUnreadable("it is not a regular file")
                return os.read(fd, 4 * _MOST_SECRET_CHARACTERS + 3).decode()
            finally:
                os.close(fd)
        except UnicodeDecodeError as error:
            raise SecretUnreadable("it is not text") from error
        except (OSError, RuntimeError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "no such path"
            raise SecretUnreadable(f"the file cannot be read: {why}") from error


def _one_line(text: str) -> str:
    line = text.removesuffix("\n").removesuffix("\r")
    if not line:
        raise SecretUnreadable("it is empty")
    if len(line) > _MOST_SECRET_CHARACTERS or any(end in line for end in "\r\n\0"):
        raise SecretUnreadable(f"it is not one line of at most {_MOST_SECRET_CHARACTERS} characters")
    return line
