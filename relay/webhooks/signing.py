"""Standard Webhooks 1.0.0: signatures (symmetric, ``v1``), made and checked.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from relay.domain.endpoints import SECRET_PREFIX

TOLERANCE_S: Final = 300
"""How far a timestamp may be from now, either way: the tolerance of the reference libraries."""

KEPT_KEYS: Final = 4096
_TIMESTAMP: Final = re.compile(r"[0-9]{1,15}\Z")


class Signer:
    """Signs for any number of endpoints; keeps the decoded keys of the last 4096 secrets it saw."""

    def __init__(self, kept_keys: int = KEPT_KEYS) -> None:
        self._key_of = lru_cache(maxsize=kept_keys)(read_secret)

    def sign(self, secrets: Iterable[str], webhook_id: str, timestamp_s: int, body: bytes) -> str:
        """The value of ``webhook-signature``: ``v1,`` + base64 per secret, in their order, space separated.

        Raises ValueError when a secret is not ``whsec_`` + base64.
        """
        content = b"%s.%d.%s" % (webhook_id.encode(), timestamp_s, body)
        return " ".join([_sign(self._key_of(secret), content) for secret in secrets])


def read_secret(secret: str) -> bytes:
    """The key bytes of ``whsec_`` + base64, padded or not. Raises ValueError, which does not show the secret."""
    encoded = secret.removeprefix(SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:  # binascii.Error, and what is not ASCII
        key = b""
    if not key or encoded == secret:
        raise ValueError(f"a signing secret is {SECRET_PREFIX} and base64")
    return key


def verify(
    secrets: Iterable[str], headers: Mapping[str, str], body: bytes, now_s: int, tolerance_s: int = TOLERANCE_S
) -> bool:
    """Whether one of the secrets signed exactly this body within ``tolerance_s`` of now.

    Header names in any case; signatures of unknown versions are passed over; the comparison takes constant time.
    """
    values = {name.lower(): value for name, value in headers.items()}
    webhook_id = values.get("webhook-id", "")
    timestamp = values.get("webhook-timestamp", "")
    if not webhook_id or not _TIMESTAMP.match(timestamp) or abs(now_s - int(timestamp)) > tolerance_s:
        return False
    content = b"%s.%s.%s" % (webhook_id.encode(), timestamp.encode(), body)
    expected = [_sign(read_secret(secret), content).encode() for secret in secrets]
    given = [part.encode() for part in values.get("webhook-signature", "").split(" ")]
    return any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given)


def _sign(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
