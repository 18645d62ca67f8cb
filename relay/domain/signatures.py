"""The signature of a text: who it is from, in full-width brackets, as every SMS must say.

Decision: only `【…】` is a signature, because providers read no other brackets: `[…]` and `「…」` are text like any
other. It may stand at either end of a text, because providers take a trailing one for the signature, too; in the
middle it is text.
"""

import re
from typing import Final

LONGEST: Final = 30
"""Characters between the brackets of a signature."""
_AT_START: Final = re.compile(r"\s*【[^【】]*】")
_AT_END: Final = re.compile(rf"【[^【】]{{0,{LONGEST}}}】\s*\Z")


class SecondSignature(ValueError):
    """The text carries a signature that is not the team's, or one more; says what is expected of it."""


def sign(text: str, signature: str | None) -> str:
    """The text as it goes upstream: the team's signature (brackets included) in front, unless it is there already.

    None: the team has none, and may write whatever it likes. Raises SecondSignature for any other signature at the
    beginning, a second one behind the team's, and one at the end.
    """
    if signature is None:
        return text
    # Blanks before it would make it somebody's second one once ours is put in front.
    begun = text.lstrip()
    rest = begun[len(signature) :] if begun.startswith(signature) else text
    if _AT_START.match(rest):
        raise SecondSignature(f"must begin with {signature} once, or with no signature at all")
    if _AT_END.search(rest):
        raise SecondSignature(f"must not end with a signature: {signature} stands in front")
    return signature + rest
