import asyncio
from typing import cast

import msgspec

from relay.domain.accounts import SANDBOX_URL, Account, CallbackToken
from relay.domain.teams import hash_secret
from relay.ports import Store
from relay.services.accounts import AccountBook
from tests.services.stillness import StillClock, account_of

REAL, OTHER, OFF = account_of(1), account_of(2), account_of(3, disabled=True)
SANDBOX = account_of(9, sandbox=True)


def token_of(account: Account, expires_ms: int | None = None) -> CallbackToken:
    return CallbackToken(account_id=account.id, created_ms=0, expires_ms=expires_ms)


class Accounts:
    """The part of a store that the book reads."""

    def __init__(self, *accounts: Account, tokens: dict[bytes, CallbackToken] | None = None) -> None:
        self.rows = list(accounts)
        self.tokens = tokens or {}
        self.asked = 0

    async def accounts(self) -> list[Account]:
        self.asked += 1
        await asyncio.sleep(0)
        return self.rows

    async def callback_tokens(self) -> dict[bytes, CallbackToken]:
        return dict(self.tokens)


async def book_of(store: Accounts, *, sandbox_for_live: bool = False, clock: StillClock | None = None) -> AccountBook:
    book = AccountBook(cast(Store, store), clock or StillClock(), sandbox_for_live=sandbox_for_live)
    await book.refresh()
    return book


async def test_an_unknown_token_asks_the_store_once_a_second_at_most() -> None:
    clock, store = StillClock(), Accounts(REAL)
    book = await book_of(store, clock=clock)

    assert [await book.by_token("t") for _ in range(10)] == [None] * 10
    assert store.asked == 2
    store.tokens[hash_secret("t")] = token_of(REAL)
    assert await book.by_token("t") is None
    clock.move(1.0)
    assert await book.by_token("t") == REAL
    assert store.asked == 3


async def test_a_known_token_asks_nobody() -> None:
    store = Accounts(REAL, tokens={hash_secret("t"): token_of(REAL)})
    book = await book_of(store)

    assert await book.by_token("t") == REAL
    assert store.asked == 1


async def test_a_token_of_this_process_outlives_a_refresh() -> None:
    book = await book_of(Accounts(SANDBOX))
    book.add_local_token("t", SANDBOX.id)

    await book.refresh()

    assert await book.by_token("t") == SANDBOX


async def test_the_embedded_sandbox_is_where_it_listens_now() -> None:
    inside = msgspec.structs.replace(SANDBOX, base_url=SANDBOX_URL)
    book = await book_of(Accounts(inside, REAL))
    book.sandbox_url = "http://127.0.0.1:9"

    found, real = book.get(SANDBOX.id), book.get(REAL.id)

    assert found is not None
    assert found.base_url == "http://127.0.0.1:9"
    assert real == REAL
    assert book.get(OTHER.id) is None


async def test_listeners_hear_of_changes_and_of_nothing_else() -> None:
    store, heard = Accounts(REAL), []
    book = await book_of(store)
    book.on_change(lambda: heard.append("changed"))

    await book.refresh()
    store.rows = [REAL, OTHER]
    await book.refresh()
    await book.refresh()

    assert heard == ["changed"]
