"""The machine's own clock and randomness, behind the ports."""

import asyncio
import random
import secrets
import time

import uuid_utils


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
