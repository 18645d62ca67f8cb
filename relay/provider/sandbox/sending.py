"""The call /send: what is refused, what it costs, what is booked."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from relay.provider.sandbox.accounts import Account
from relay.provider.sandbox.answers import Answer, refusal, success
from relay.provider.sandbox.codes import Code
from relay.provider.sandbox.ledger import Duplicate, Ledger, SendRecord
from relay.provider.sandbox.outcomes import EARLY_ENDING, HELD_ENDING, any_sendable

MAX_MOBILES: Final = 3000  # provider/contract.md 1
SINGLE_UNITS: Final = 70  # provider/contract.md 2: segments
PART_UNITS: Final = 67

_TASK_ID = re.compile(r"[0-9a-z]{1,32}")  # provider/contract.md 2: taskId alphabet
_EXT_NO = re.compile(r"0*[1-9][0-9]*")  # provider/contract.md 1: positive integers only


class Handled(msgspec.Struct, frozen=True, kw_only=True):
    """A call carried out: its answer, and of a send what was booked.

    ``early``: some reports come before the answer; ``held``: the answer never comes.
    """

    answer: Answer
    record: SendRecord | None = None
    early: bool = False
    held: bool = False


def count_segments(content: str) -> int:
    """1 up to 70 UTF-16 units, else ceil(units / 67).  # provider/contract.md 2: segments"""
    units = len(content.encode("utf-16-le")) // 2
    return 1 if units <= SINGLE_UNITS else -(-units // PART_UNITS)


def book_send(
    account: Account, ledger: Ledger, form: Mapping[str, str], *, now_s: float, new_id: Callable[[], str], own_id: bool
) -> Handled:
    """Books the send and takes its price, or refuses it and changes nothing (a repeated taskId is counted).

    ``own_id``: the answer carries an id of the provider's own, whatever taskId was given.
    """
    mobiles, task_id = form.get("mobiles", "").split(","), form.get("taskId", "")
    wrong = _first_wrong(form, len(mobiles))
    if wrong is not None:
        return Handled(answer=refusal(wrong))
    if task_id and ledger.knows(task_id):
        ledger.refuse_duplicate(Duplicate(task_id=task_id, account=account.name, at_s=now_s, recipients=len(mobiles)))
        return Handled(answer=refusal(Code.DUPLICATE))
    content = form["content"]
    segments = count_segments(content)
    if not account.charge(segments * len(mobiles)):
        return Handled(answer=refusal(Code.BALANCE))
    provider_id = new_id() if own_id or not task_id else task_id
    given_id = task_id or provider_id
    record = SendRecord(
        task_id=given_id,
        answered_task_id=provider_id,
        report_send_id=provider_id if account.settings.report_send_id == "answered" else given_id,
        account=account.name,
        at_s=now_s,
        content=content,
        segments=segments,
        ext_no=form.get("extNo", ""),
        mobiles=mobiles,
        answered=False,
    )
    ledger.book(record)
    endings = {mobile[-4:] for mobile in mobiles}
    return Handled(
        answer=success({"taskId": provider_id}),
        record=record,
        early=EARLY_ENDING in endings,
        held=HELD_ENDING in endings,
    )


def _first_wrong(form: Mapping[str, str], mobile_count: int) -> Code | None:
    task_id, ext_no = form.get("taskId", ""), form.get("extNo", "")
    if mobile_count > MAX_MOBILES:
        return Code.TOO_MANY_MOBILES
    if not any_sendable(form.get("mobiles", "")):
        return Code.RECIPIENT
    if not form.get("content"):
        return Code.CONTENT
    if ext_no and _EXT_NO.fullmatch(ext_no) is None:
        return Code.EXT_NO
    if task_id and _TASK_ID.fullmatch(task_id) is None:
        return Code.TASK_ID
    return None
