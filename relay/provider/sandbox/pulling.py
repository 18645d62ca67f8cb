"""The calls /report, /mo and /queryBalance: rows that leave their queue, and what is left of the balance."""

from collections import deque
from typing import Final

from relay.provider.sandbox.accounts import Account
from relay.provider.sandbox.answers import Answer, rows_in, success
from relay.provider.sandbox.faults import Fault
from relay.provider.sandbox.ledger import Ledger, PulledRow
from relay.provider.sandbox.rows import PLAIN, Inbound, Report, Row, RowKind, pulled_row

_PAYMENT_NAMES: Final = {0: "预付", 1: "后附"}  # provider/seed.zh.txt: spelled so


def pull_rows(
    account: Account, ledger: Ledger, kind: RowKind, *, most: int, now_s: float, fault: Fault | None
) -> Answer:
    """Takes up to ``most`` rows out of the account's queue: they are in this answer and in no other.

    A faulty shape of `data` takes no more rows than it can carry (an object one, null none).
    """
    queue: deque[Report] | deque[Inbound] = account.reports if kind == "report" else account.inbound
    style, copies = (PLAIN, 1) if fault is None else (fault.style, fault.copies)
    rows: list[dict[str, object]] = []
    for _ in range(min(len(queue), rows_in(fault.data if fault else None, most))):
        row: Row = queue.popleft()
        ledger.record_pulled(
            PulledRow(
                rows_of=kind,
                account=account.name,
                send_id=row.send_id if isinstance(row, Report) else "",
                mobile=row.mobile,
                status=row.status if isinstance(row, Report) else "",
                at_s=now_s,
            )
        )
        rows.extend(pulled_row(row, style) for _ in range(copies))
    return success(rows)


def tell_balance(account: Account) -> Answer:
    """What is left, in segments, and how the account pays."""
    payment = account.settings.payment
    return success({"balance": account.balance, "payment": payment, "paymentName": _PAYMENT_NAMES[payment]})
