"""Idempotency-Key: what identifies a request, and which requests are running now."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from relay.domain.errors import IdempotencyKeyInUse, IdempotencyKeyInvalid
from relay.ports import Idempotency

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}\Z")
_RETRY_AFTER_S = 1.0


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """One request under an Idempotency-Key. ``scope``: the team's id, or ``admin``; keys of two scopes never meet.
    ``fingerprint``: SHA-256 over method, path and body."""

    scope: str
    key: str
    fingerprint: bytes

    def answered(self, status: int, answer: bytes, now_ms: int) -> Idempotency:
        """What is to be stored beside the thing that the request created."""
        return Idempotency(
            scope=self.scope,
            key=self.key,
            fingerprint=self.fingerprint,
            status=status,
            answer=answer,
            created_ms=now_ms,
        )


def read_key(header: str) -> str:
    """The key in an Idempotency-Key header, bare or as a quoted structured-field string (RFC 8941, section 3.3.3).

    Raises IdempotencyKeyInvalid unless it is 1 to 255 visible ASCII characters.
    """
    text = header.strip(" \t")
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if _VISIBLE.match(text) is None:
        raise IdempotencyKeyInvalid("An Idempotency-Key has 1 to 255 visible ASCII characters, no blanks.")
    return text


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """32 bytes that two different requests do not share."""
    digest = hashlib.sha256(f"{method} {path}\n".encode())
    digest.update(body)
    return digest.digest()


class InFlight:
    """The keys whose first request has not been answered yet, in this process."""

    def __init__(self) -> None:
        self._running: set[tuple[str, str]] = set()

    @contextmanager
    def enter(self, use: KeyUse | None) -> Iterator[None]:
        """Hold the key while its request runs. Raises IdempotencyKeyInUse when another one holds it."""
        if use is None:
            yield
            return
        held = (use.scope, use.key)
        if held in self._running:
            raise IdempotencyKeyInUse(
                "The first request with this Idempotency-Key has not been answered yet.", retry_after_s=_RETRY_AFTER_S
            )
        self._running.add(held)
        try:
            yield
        finally:
            self._running.discard(held)
