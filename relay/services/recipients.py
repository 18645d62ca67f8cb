"""Whom a message goes to: the numbers of a request, those that are refused, and why nobody may be left."""

from collections.abc import Mapping

from relay.domain.errors import FieldError, NoRecipientLeft, RecipientLimitExceeded, Refusal, Withheld, WithheldWhy
from relay.domain.messages import RefusedNumber
from relay.domain.numbers import read_mobile


def read_numbers(to: list[str], withheld: Mapping[int, WithheldWhy]) -> tuple[list[int], list[RefusedNumber]]:
    """The numbers to send to, and those that are refused, both in the order of the list."""
    seen: set[int] = set()
    mobiles: list[int] = []
    refused: list[RefusedNumber] = []
    for written in to:
        mobile = read_mobile(written)
        if mobile is None:
            refused.append(RefusedNumber(to=written, reason="malformed"))
        elif mobile in seen:
            refused.append(RefusedNumber(to=written, reason="duplicate"))
        elif mobile in withheld:
            refused.append(RefusedNumber(to=written, reason=withheld[mobile]))
        else:
            mobiles.append(mobile)
        if mobile is not None:
            seen.add(mobile)
    return mobiles, refused


def joined(some: Withheld, more: Withheld) -> Withheld:
    """What both withhold, until the first of all is free again."""
    waits_s = [wait_s for wait_s in (some.retry_after_s, more.retry_after_s) if wait_s is not None]
    return Withheld({**some.numbers, **more.numbers}, retry_after_s=min(waits_s, default=None))


def nobody_left(refused: list[RefusedNumber], withheld: Withheld) -> Refusal:
    """Why no number can be sent to. Decision: only when limits alone are in the way is it "try again later": who has
    opted out will not be sent to later either, and a repeated text is not to be tried until it goes."""
    errors = tuple(FieldError(pointer=f"/to/{index}", detail=number.reason) for index, number in enumerate(refused))
    if withheld.numbers and set(withheld.numbers.values()) == {"recipient_limit"}:
        return RecipientLimitExceeded(
            "Every number of this message has had as many of its category as the team's limit allows.",
            errors=errors,
            retry_after_s=withheld.retry_after_s,
        )
    return NoRecipientLeft("None of the numbers can be sent to.", errors=errors)
