"""The balances of provider accounts."""

from relay.domain.accounts import BalanceView
from relay.domain.ids import AccountId, raw_bytes
from relay.domain.provider import Balance
from relay.domain.times import instant_or_none
from relay.store.script import Db, Script


def keep_balance(db: Db, account: bytes, balance: Balance, now_ms: int) -> Script[None]:
    """Replace the last known balance."""
    yield from db.put(
        "balances.keep", account=account, amount=balance.amount, prepaid=int(balance.prepaid), as_of_ms=now_ms
    )


def balances(db: Db, account_ids: tuple[AccountId, ...]) -> Script[list[BalanceView]]:
    """In the order asked for; unknown accounts are left out."""
    views: list[BalanceView] = []
    for account_id in account_ids:
        row = yield from db.row("balances.find", account=raw_bytes(account_id))
        if row is not None:
            views.append(
                BalanceView(
                    account_id=account_id,
                    account_name=row[0],
                    balance=row[1],
                    prepaid=None if row[2] is None else bool(row[2]),
                    as_of=instant_or_none(row[3]),
                )
            )
    return views
