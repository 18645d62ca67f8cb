"""Lists of numbers as parameters: what is asked of 10,000 numbers takes ten statements, not 10,000."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

NUMBERS_AT_ONCE: Final = 1_000
"""So many are looked up by one statement, which is answered well within its time."""


def in_parts(numbers: Sequence[int], **params: object) -> list[dict[str, Any]]:
    """Parameters for ``db.each`` of a query that takes ``mobiles``, a JSON list; the others as they are."""
    parts = [numbers[start : start + NUMBERS_AT_ONCE] for start in range(0, len(numbers), NUMBERS_AT_ONCE)]
    return [{"mobiles": msgspec.json.encode(part).decode(), **params} for part in parts]
