"""Mobile numbers: eleven digits ``1[3-9]xxxxxxxxx``, kept as integers; masks as (first 3, last 4)."""

import re

# provider/contract: upstream takes 11 digits; callbacks may carry +86, 86 or 0086.
_WRITTEN = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})\Z")
_SEPARATORS = str.maketrans("", "", " -\u00a0()")
_MASKED = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9])\*+([0-9]{4})\Z")
_FULL_WIDTH = str.maketrans("０１２３４５６７８９＋", "0123456789+")

Mask = tuple[int, int]


def read_mobile(text: str) -> int | None:
    """The number that a person wrote (spaces, dashes, full-width digits, +86/86/0086 allowed); None when it is none."""
    found = _WRITTEN.match(text)
    if found is None:
        found = _WRITTEN.match(text.translate(_FULL_WIDTH).translate(_SEPARATORS))
    return None if found is None else int(found[1])


def read_mask(text: str) -> Mask | None:
    """``135****9831`` as (135, 9831); None when the text is not a masked number."""
    found = _MASKED.match(text.strip())
    return None if found is None else (int(found[1]), int(found[2]))


def mask_of(mobile: int) -> Mask:
    """The mask under which the provider may show ``mobile``."""
    return mobile // 100_000_000, mobile % 10_000


def last_two(mobile: int | str) -> str:
    """What a log line may say of a number."""
    return str(mobile)[-2:]
