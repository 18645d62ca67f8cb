"""The balances of provider accounts: the last one, what they were in the last days, and who is told when one is low."""

from typing import Final

import msgspec

from relay.domain.accounts import Account, BalanceView
from relay.domain.balances import KEEP_SAMPLES_MS, RATE_OVER_MS, SAMPLE_EVERY_MS, days_left, is_low
from relay.domain.events import BalanceLow
from relay.domain.ids import AccountId, raw_bytes
from relay.domain.provider import Balance
from relay.domain.times import instant, instant_or_none
from relay.ports import StoredEffects
from relay.store.script import Db, Row, Script
from relay.store.scripts.emit import Effects, emit
from relay.store.scripts.reports import effects_of

_ACCOUNT_IDS: Final = msgspec.json.Decoder(list[AccountId])


def keep_balance(db: Db, account: Account, balance: Balance, now_ms: int) -> Script[StoredEffects]:
    """See ``relay.ports.platform.BalanceStore``."""
    key = raw_bytes(account.id)
    before = yield from db.row("balances.find", account=key)
    low = is_low(balance.amount, account.low_balance, prepaid=balance.prepaid)
    yield from db.put(
        "balances.keep",
        account=key,
        amount=balance.amount,
        prepaid=int(balance.prepaid),
        as_of_ms=now_ms,
        low=int(low),
    )
    last = yield from db.row("samples.last", account=key)
    if last is None or now_ms - last[0] >= SAMPLE_EVERY_MS:
        yield from db.put("samples.insert", account=key, at_ms=now_ms, amount=balance.amount)
        yield from db.put("samples.forget", account=key, before_ms=now_ms - KEEP_SAMPLES_MS)
    effects = Effects()
    if low and (before is None or not before[5]):
        yield from _tell(db, effects, account, balance.amount, now_ms)
    return effects_of(effects)


def _tell(db: Db, effects: Effects, account: Account, amount: str, now_ms: int) -> Script[None]:
    """Every team that may send by the account."""
    data = BalanceLow(
        account_id=account.id,
        account_name=account.name,
        balance=amount,
        threshold=str(account.low_balance),
        days_left=(yield from _days_left(db, raw_bytes(account.id), amount, now_ms)),
        as_of=instant(now_ms),
    )
    for team, accounts in (yield from db.rows("balances.teams")):
        wanted = _ACCOUNT_IDS.decode(accounts)
        if account.id in wanted or (not wanted and not account.sandbox):
            yield from emit(
                db, effects, "balance.low", data, team=bytes(team), message=None, extension=None, now_ms=now_ms
            )


def balances(db: Db, account_ids: tuple[AccountId, ...]) -> Script[list[BalanceView]]:
    """In the order asked for; unknown accounts are left out."""
    views: list[BalanceView] = []
    for account_id in account_ids:
        row = yield from db.row("balances.find", account=raw_bytes(account_id))
        if row is not None:
            views.append((yield from _view(db, row)))
    return views


def all_balances(db: Db) -> Script[list[BalanceView]]:
    """Of every account, oldest first."""
    views: list[BalanceView] = []
    for row in (yield from db.rows("balances.all")):
        views.append((yield from _view(db, row)))  # noqa: PERF401 - "yield from" has no place in a comprehension
    return views


def _view(db: Db, row: Row) -> Script[BalanceView]:
    key, name, amount, prepaid, as_of_ms, _ = row
    return BalanceView(
        account_id=AccountId("acct_" + bytes(key).hex()),
        account_name=name,
        balance=amount,
        prepaid=None if prepaid is None else bool(prepaid),
        days_left=(yield from _days_left(db, bytes(key), amount, as_of_ms)) if prepaid else None,
        as_of=instant_or_none(as_of_ms),
    )


def _days_left(db: Db, account: bytes, amount: str, as_of_ms: int) -> Script[float | None]:
    rows = yield from db.rows("samples.since", account=account, since_ms=as_of_ms - RATE_OVER_MS)
    samples = [(row[0], row[1]) for row in rows if row[0] < as_of_ms]
    return days_left([*samples, (as_of_ms, amount)])
