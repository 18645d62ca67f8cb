"""The machine's own clock and randomness, behind the ports; and the clock of several machines."""

import asyncio
import random
import secrets
import time
from typing import Final

import uuid_utils

from relay.ports import Clock, Entropy

_TIME_DIGITS: Final = 12


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
