"""Reading the answer of ``/api/v1/queryBalance``."""

import re
from decimal import Decimal
from typing import Final

from relay.domain.provider import Balance, BalanceUnknown
from relay.provider.form_v1 import bodies
from relay.provider.form_v1.outcomes import Fault, Reply, decide_fault
from relay.provider.form_v1.reading import SUCCESS_CODES, Answer
from relay.provider.form_v1.rows import named, text_of

# Bounded, so that 1e999999999 is not written out.
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,9})?(?:[eE][+-]?[0-9]{1,2})?")
# provider/contract.md 1
_FIELDS: Final = frozenset({"balance", "payment", "paymentName"})
_SPELLINGS: Final = {name.lower(): name for name in _FIELDS}
_DEEPEST: Final = 4


def read_balance(evidence: Reply | Fault) -> Balance | BalanceUnknown:
    """The balance, or why there is none: a class of failure, ``http_<status>``, ``refused`` (with the provider's code)
    or ``unreadable``."""
    if isinstance(evidence, Exception):
        return BalanceUnknown(code=None, why=decide_fault(evidence).why)
    answer = Answer.read(bodies.read_json(evidence.body))
    code = None if answer is None else answer.code
    if answer is not None and code is not None and code not in SUCCESS_CODES:
        return BalanceUnknown(code=code, why="refused", message=answer.message)
    if not 200 <= evidence.status < 300:
        return BalanceUnknown(code=code, why=f"http_{evidence.status}")
    found = None if answer is None or code is None else _find(answer.data, _DEEPEST)
    return found or BalanceUnknown(code=code, why="unreadable")


def _find(data: object, depth: int) -> Balance | None:
    """The balance in ``data``: a number, a text, an object with ``balance``, or either of them inside another."""
    if isinstance(data, str) and (opened := bodies.open_text(data)) is not bodies.UNREADABLE:
        data = opened
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        amount = _read_amount(data)
        # Decision: a bare number does not say how it is paid; without payment = 0 nothing may alert.
        return None if amount is None else Balance(amount=amount, prepaid=False)
    fields, _ = named(data, _FIELDS, _SPELLINGS)
    if "balance" in fields:
        amount = _read_amount(fields["balance"])
        if amount is not None:
            return Balance(amount=amount, prepaid=_is_prepaid(fields))
    if depth == 0:
        return None
    inner = [value for value in data.values() if isinstance(value, dict | list) or _holds_json(value)]
    return next((found for value in inner if (found := _find(value, depth - 1)) is not None), None)


def _holds_json(value: object) -> bool:
    return isinstance(value, str) and bodies.looks_like_json(value)


def _read_amount(value: object) -> str | None:
    text = text_of(value)
    if text is None or _NUMBER.fullmatch(text.strip()) is None:
        return None
    return f"{Decimal(text.strip()):f}"


def _is_prepaid(fields: dict[str, object]) -> bool:
    """provider/contract.md 1: payment 0 = prepaid, 1 = postpaid. Its name decides when the number is missing."""
    payment = text_of(fields.get("payment"))
    if payment is None or not payment.strip():
        return (text_of(fields.get("paymentName")) or "").strip() == "预付"
    return payment.strip() == "0"
