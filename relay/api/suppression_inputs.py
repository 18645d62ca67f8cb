"""What may be sent and asked of opt-outs."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from relay.api.inputs import END, Number
from relay.api.queries import PageQuery, query_wrong
from relay.domain.numbers import read_mobile

_TEAM_ID: Final = rf"^team_[0-9a-f]{{32}}{END}"


class OwnSuppressionInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that is to get no more marketing of the team."""

    number: Number


class OwnSuppressionImportInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers that are to get no more marketing of the team."""

    numbers: Annotated[list[Number], Meta(min_length=1, max_length=10_000)]


class SuppressionInput(OwnSuppressionInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that is to get no more marketing of one team."""

    team_id: Annotated[str, Meta(pattern=_TEAM_ID)]


class SuppressionImportInput(OwnSuppressionImportInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers that are to get no more marketing of one team."""

    team_id: Annotated[str, Meta(pattern=_TEAM_ID)]


class OwnSuppressionQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of them, and which page."""

    number: Annotated[Number | None, Meta(description="Only this number.")] = None


class SuppressionQuery(OwnSuppressionQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of them, and which page."""

    team_id: Annotated[Annotated[str, Meta(pattern=_TEAM_ID)] | None, Meta(description="Only of this team.")] = None


def number_wanted(query: OwnSuppressionQuery) -> int | None:
    """The number that is asked for. Raises QueryInvalid when it is none."""
    if query.number is None:
        return None
    mobile = read_mobile(query.number)
    if mobile is None:
        raise query_wrong("number", "This is not a mobile number.")
    return mobile
