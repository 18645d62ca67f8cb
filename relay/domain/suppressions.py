"""Opt-outs: numbers that get no marketing from a team any more, and the words by which people ask for that."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from relay.domain.ids import SuppressionId, TeamId
from relay.domain.messages import RefusedNumber
from relay.domain.times import instant

SuppressionSource = Literal["inbound", "api", "import", "cli"]


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """One number that has opted out of one team's marketing. ``keyword``: the opt-out word, of source ``inbound``."""

    id: SuppressionId
    team_id: TeamId
    mobile: int
    source: SuppressionSource
    keyword: str | None
    created_ms: int


class SuppressionView(msgspec.Struct, frozen=True, kw_only=True):
    """A number that gets no marketing from a team. `source`: `inbound` (its owner answered with an opt-out word, which
    is the `keyword`), `api`, `import` or `cli`. `created_at` is when it opted out first."""

    id: SuppressionId
    team_id: TeamId
    number: str
    source: SuppressionSource
    keyword: str | None
    created_at: datetime


class ImportedSuppressions(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a list of numbers: `added` had not opted out before; `already` had, or stood in the list twice;
    `refused` are no mobile numbers. Together they are the list."""

    added: int
    already: int
    refused: list[RefusedNumber]


def view_of(suppression: Suppression) -> SuppressionView:
    """What is shown of it."""
    return SuppressionView(
        id=suppression.id,
        team_id=suppression.team_id,
        number=str(suppression.mobile),
        source=suppression.source,
        keyword=suppression.keyword,
        created_at=instant(suppression.created_ms),
    )


class OptOutWords:
    """The words that opt out when they are the whole of a text."""

    def __init__(self, words: Iterable[str]) -> None:
        """A word without letters and digits matches nothing."""
        self._words = {plain: word for word in words if (plain := plain_word(word))}

    def find(self, text: str) -> str | None:
        """The word that ``text`` consists of, as it was configured; None when it is none of them."""
        return self._words.get(plain_word(text))


def plain_word(text: str) -> str:
    """What is compared: letters and digits alone, half-width and full-width alike, upper and lower case alike.

    Decision: whatever else a person puts around them or between them (blanks, punctuation, emoji, marks that nobody
    sees) counts for nothing, because to send on to somebody who has opted out is worse than the other mistake.

    NFKC before and after the case is folded (Unicode 15.0, section 3.13, D145-D146), because folding may leave what
    NFKC changes again.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(filter(str.isalnum, folded))


NO_WORDS: Final = OptOutWords(())
