"""The signature of a text: who it is from, in full-width brackets, as every SMS must say.

Decision: only `【…】` is a signature, because providers read no other brackets: `[…]` and `「…」` are text like any
other. It may stand at either end of a text, because providers take a trailing one for the signature, too; in the
middle it is text. So is one without any letter, wherever it stands: no operator registers a signature of digits alone,
and codes, prices and times are what people put into such brackets.
"""

import re
from typing import Final

LONGEST: Final = 30
"""Characters between the brackets of a signature."""
_UNSEEN: Final = r"\s\u200b-\u200f\u2060\ufeff"
"""Blanks, and marks that nobody sees: before a signature they hide nothing from its readers."""
_AT_START: Final = re.compile(rf"[{_UNSEEN}]*【([^【】]*)】")
_AT_END: Final = re.compile(rf"【([^【】]{{0,{LONGEST}}})】[{_UNSEEN}]*\Z")
_BEFORE: Final = re.compile(rf"[{_UNSEEN}]*")


class SecondSignature(ValueError):
    """The text carries a signature that is not the team's, or one more; says what is expected of it."""


def sign(text: str, signature: str | None) -> str:
    """The text as it goes upstream: the team's signature (brackets included) in front, unless it is there already.

    None: the team has none, and may write whatever it likes. Raises SecondSignature for any other signature at the
    beginning, a second one behind the team's, and one at the end.
    """
    if signature is None:
        return text
    # What nobody sees before it would make it somebody's second one once ours is put in front.
    begun = _BEFORE.sub("", text, count=1)
    rest = begun[len(signature) :] if begun.startswith(signature) else text
    if rest.startswith(signature) or _names_somebody(_AT_START.match(rest)):
        raise SecondSignature(f"must begin with {signature} once, or with no signature at all")
    if rest.endswith(signature) or _names_somebody(_AT_END.search(rest)):
        raise SecondSignature(f"must not end with a signature: {signature} stands in front")
    return signature + rest


def _names_somebody(brackets: re.Match[str] | None) -> bool:
    """Whether there are brackets, with a letter in them or nothing at all."""
    return brackets is not None and (not brackets[1].strip() or any(map(str.isalpha, brackets[1])))
