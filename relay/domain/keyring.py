"""What is known of the key ring without its keys."""

from datetime import datetime

import msgspec


class KeyMark(msgspec.Struct, frozen=True, kw_only=True):
    """A key that the database knows. ``activated_ms``: since when it seals, or did; None for one that never has."""

    key_id: str
    created_ms: int
    activated_ms: int | None


class KeyHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A running gateway. ``key_ids``: what it has, the key that it seals with first. ``seen_s`` ago it said so."""

    name: str
    key_ids: tuple[str, ...]
    seen_s: float

    @property
    def active(self) -> str:
        """What it seals with."""
        return self.key_ids[0]


class KeyRingStanding(msgspec.Struct, frozen=True, kw_only=True):
    """``key_ids``: of this process's own ring, the active one first. ``holders``: gateways that live."""

    key_ids: tuple[str, ...]
    marks: tuple[KeyMark, ...]
    holders: tuple[KeyHolder, ...]

    @property
    def active(self) -> str:
        """The key that this process seals with."""
        return self.key_ids[0]

    @property
    def pending(self) -> str | None:
        """The key that is here and has never sealed: the next one, which is still being handed out."""
        never = {mark.key_id for mark in self.marks if mark.activated_ms is None}
        return next((key_id for key_id in self.key_ids[1:] if key_id in never), None)


class RingKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the ring, by its id; the key itself is shown nowhere. `values`: how many values it seals, by table.
    `present`: whether this process has it. `activated_at` null: it has never sealed."""

    id: str
    active: bool
    present: bool
    created_at: datetime | None
    activated_at: datetime | None
    values: dict[str, int]


class RingHolderView(msgspec.Struct, frozen=True, kw_only=True):
    """A running gateway, the key that it seals with, and those that it has."""

    name: str
    active: str
    key_ids: list[str]


class KeyRingView(msgspec.Struct, frozen=True, kw_only=True):
    """The key ring. `stale_values`: how many values other keys than the active one seal, which is 0 once everything is
    re-encrypted."""

    active: str
    stale_values: int
    keys: list[RingKeyView]
    gateways: list[RingHolderView]
