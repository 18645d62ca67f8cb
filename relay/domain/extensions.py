"""Extensions: the digits behind the provider's number that answers go to, leased to one team on each account."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from relay.domain.ids import AccountId, TeamId

LONGEST: Final = 20
"""Digits of an extension."""
_LAST_DIGITS: Final = re.compile(rf"[0-9]{{0,{LONGEST}}}\Z")
USUAL_DIGITS: Final = 4
"""How wide the next free one is, where its account says nothing."""

Held = frozenset[AccountId | None]
"""Where one team has leased one extension: the accounts, or None alone for every account."""
EVERYWHERE: Final[Held] = frozenset({None})


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """``extension`` is the team's on this account; None: on every one."""

    extension: str
    account_id: AccountId | None
    team_id: TeamId


class ExtensionView(msgspec.Struct, frozen=True, kw_only=True):
    """An extension that a team has leased. `account_ids`: on these accounts; empty: on every account."""

    extension: str
    team_id: TeamId
    account_ids: list[AccountId]


def accounts_of(account_ids: Iterable[AccountId]) -> Held:
    """Where a team leases that uses these accounts; none of them named is all."""
    return frozenset(account_ids) or EVERYWHERE


def view_of(extension: str, team_id: TeamId, held: Held) -> ExtensionView:
    """One extension of one team."""
    accounts = sorted(account_id for account_id in held if account_id is not None)
    return ExtensionView(extension=extension, team_id=team_id, account_ids=accounts)


def overlap(one: Held, other: Held) -> bool:
    """Whether both hold on some account."""
    return None in one or None in other or not one.isdisjoint(other)


def follow(held: Held, before: Held, after: Held) -> Held:
    """Where an extension is leased once its team has gone from the accounts ``before`` to those ``after``.

    What was leased on all that the team used goes along. What was leased on some stays there, as far as the team does;
    where nothing is left, it goes along, too: no extension is lost on the way.
    """
    if held == before or None in held:
        return after
    return held if None in after else held & after or after


def ends_of(port: str) -> list[str]:
    """What may be leased of the number that an answer went to: the extension itself, or the end of the full number.
    Whatever the provider wrote before the last digits is none of it."""
    digits = _LAST_DIGITS.findall(port)[0]
    return [digits[-length:] for length in range(len(digits), 0, -1)]


def leads_to(leases: Sequence[Lease], account_id: AccountId) -> Lease | None:
    """Whose answers on this account are: of the leases that the number ends in, the longest that holds there. All of it
    is the longest that there is."""
    held = [lease for lease in leases if lease.account_id in (None, account_id)]
    return max(held, key=lambda lease: len(lease.extension), default=None)


def leads_away(leases: Sequence[Lease], account_id: AccountId, team_id: TeamId) -> bool:
    """Whether answers to what this team sends over this account would be another team's."""
    lease = leads_to(leases, account_id)
    return lease is not None and lease.team_id != team_id


def lowest_free(digits: int, taken: set[str]) -> str | None:
    """The lowest extension of so many digits, without a leading zero, that is not taken; None: all are."""
    return next((str(n) for n in range(10 ** (digits - 1), 10**digits) if str(n) not in taken), None)
