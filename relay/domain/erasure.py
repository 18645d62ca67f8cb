"""Erasing one number: where it may stand, and how it is found and struck out of what was written."""

import re
from typing import Any, Final, Literal

import msgspec

from relay.domain.ids import AuditId
from relay.domain.messages import RefusedNumber
from relay.domain.numbers import mask_of, read_mobile
from relay.domain.retention import ERASED

ErasureStage = Literal["raw_bodies", "events", "attempts", "inbound", "orphans", "pairs", "messages", "recipients"]
ERASURE_STAGES: Final[tuple[ErasureStage, ...]] = (
    "raw_bodies",
    "events",
    "attempts",
    "inbound",
    "orphans",
    "pairs",
    "messages",
    "recipients",
)
"""In this order. The recipients come last: by them an erasure that broke off is known to be unfinished, and masked raw
bodies are recognised by their submissions."""

_REFUSED: Final = msgspec.json.Decoder(list[RefusedNumber])


class Traces:
    """One number as it may be written: bare, with +86, 86 or 0086 in front; masked (138****0001) where ``is_masked``
    asks.

    Digits on either side make it another number.
    """

    def __init__(self, mobile: int) -> None:
        first, last = mask_of(mobile)
        self.mobile = mobile
        self.digits = str(mobile)
        self.mask_begins = f"{first}*"
        self.quoted_mask_begins = f"{first}%2A"
        written = rf"(?<![0-9])(?:\+?86|0086)?{mobile}(?![0-9])"
        self._text = re.compile(written)
        self._bytes = re.compile(written.encode())
        self._mask = re.compile(rf"(?<![0-9])(?:86|0086)?{first}(?:\*|%2A)+{last:04}(?![0-9])".encode(), re.IGNORECASE)

    def is_in(self, data: bytes) -> bool:
        """Whether it stands there."""
        return self._bytes.search(data) is not None

    def is_masked(self, data: bytes) -> bool:
        """Whether its mask stands there, which many numbers share."""
        return self._mask.search(data) is not None

    def strike(self, text: str) -> str:
        """The text with "erased" in its place."""
        return self._text.sub(ERASED, text)

    def strike_bytes(self, data: bytes) -> bytes:
        """The same for bytes."""
        return self._bytes.sub(ERASED.encode(), data)

    def strike_refused(self, refused: str) -> str:
        """The same for a list of refused numbers as it is stored: these are as the caller wrote them, blanks and dashes
        included. The very text when it is not there."""
        numbers = _REFUSED.decode(refused)
        struck = [
            msgspec.structs.replace(
                number, to=ERASED if read_mobile(number.to) == self.mobile else self.strike(number.to)
            )
            for number in numbers
        ]
        return refused if struck == numbers else msgspec.json.encode(struck).decode()

    def strike_event(self, payload: bytes) -> bytes:
        """The same for the payload of an event; an inbound message from the number loses its text too."""
        event = msgspec.json.decode(payload)
        data = event["data"]
        if event["type"] == "inbound.received" and read_mobile(data["from"]) == self.mobile:
            data |= {"from": ERASED, "text": ""}
        struck = self._strike_all(event)
        return msgspec.json.encode(struck)

    def _strike_all(self, value: Any) -> Any:  # noqa: ANN401 - any JSON
        match value:
            case str():
                return self.strike(value)
            case list():
                return [self._strike_all(item) for item in value]
            case dict():
                return {self.strike(name): self._strike_all(item) for name, item in value.items()}
            case _:
                return value


class ErasureView(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did: rows per kind. `left_open` counts what could not be touched yet, because it is not final or
    not applied: while it is not empty, `complete` is false, and the erasure is to be repeated later (what is open
    becomes final within days). `id` is that of its entry in the audit."""

    id: AuditId
    number_ends_in: str
    erased: dict[ErasureStage, int]
    left_open: dict[ErasureStage, int]
    complete: bool
