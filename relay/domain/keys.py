"""API keys: what the platform team sees of them, and how their text is written and found."""

import re
import zlib
from datetime import datetime
from typing import Final, Literal

import msgspec

from relay.domain.ids import KeyId, TeamId
from relay.domain.teams import Mode, Scope

KeyKind = Literal["live", "test", "admin"]
KeyState = Literal["active", "expired", "revoked"]

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_DIGITS: Final = 43
_CHECK_DIGITS: Final = 6
_HINT_DIGITS: Final = 4

KEY_PATTERN: Final = r"rk_(?:live|test|admin)_[0-9A-Za-z]{49}"
"""For a scanner of code, logs and mail. The last six digits are a CRC-32, in base 62, of all before them: what does not
have it is no key (``is_key``)."""
_KEY: Final = re.compile(rf"(?<![0-9A-Za-z]){KEY_PATTERN}(?![0-9A-Za-z])")


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. `hint`: its first characters. `team_id` null: a platform key. `last_used_at` is a
    minute behind at most; what another replica has just seen comes later. A key works until `expires_at` or
    `revoked_at`, whichever comes first."""

    id: KeyId
    team_id: TeamId | None
    name: str | None
    hint: str
    scopes: list[Scope]
    mode: Mode
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> KeyState:
        """What it is at this time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class FoundKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that stood in some text, and which one it is; ``id`` None: none of ours."""

    hint: str
    state: KeyState | Literal["unknown"]
    id: KeyId | None = None
    team_id: TeamId | None = None
    name: str | None = None
    last_used_at: datetime | None = None


def write_key(kind: KeyKind, secret: bytes) -> str:
    """The text of an API key: ``rk_<kind>_`` + 43 base-62 digits of 256 random bits + 6 digits of a CRC-32.

    The prefix and the checksum make a leaked key findable by scanners without asking us.
    """
    head = f"rk_{kind}_{_base62(int.from_bytes(secret), _SECRET_DIGITS)}"
    return head + _base62(zlib.crc32(head.encode()), _CHECK_DIGITS)


def hint_of(key: str) -> str:
    """What may be shown of a key: its prefix and four digits."""
    return key[: key.rindex("_") + 1 + _HINT_DIGITS]


def is_key(text: str) -> bool:
    """True when the text has the form and the checksum of a key; says nothing about whether it is known."""
    return _KEY.fullmatch(text) is not None and text[-_CHECK_DIGITS:] == _base62(
        zlib.crc32(text[:-_CHECK_DIGITS].encode()), _CHECK_DIGITS
    )


def find_keys(text: str) -> list[str]:
    """Every key that stands in a text, by form and checksum, each once, in the order of the text."""
    return [key for key in dict.fromkeys(_KEY.findall(text)) if is_key(key)]


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _ALPHABET[digit] + text
    return text
