"""What the platform team may send to erase a number."""

import msgspec

from relay.api.inputs import Number, refuse, wrong
from relay.domain.numbers import read_mobile


class ErasureInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that is to be erased wherever it stands."""

    number: Number


def erasure_number(wanted: ErasureInput) -> int:
    """The number in a body. Raises BodyInvalid when it is none."""
    mobile = read_mobile(wanted.number)
    if mobile is None:
        raise refuse(wrong("/number", "This is not a mobile number."))
    return mobile
