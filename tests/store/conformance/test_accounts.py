"""Accounts: changed by version, deleted when unused; callback tokens; what has expired."""

import asyncio

import msgspec
import pytest

from relay.domain.accounts import Account, Credentials
from relay.domain.errors import AlreadyExists, BodyInvalid, InUse, NotFound, PreconditionFailed, RelayError
from relay.domain.extensions import ExtensionView
from relay.domain.quotas import QuotaDay
from relay.domain.teams import hash_secret
from relay.ports import Store
from tests.store import builders
from tests.store.builders import ACCEPTED, NOW_MS, callback_token, entry, mobiles, task_of
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

OTHER_MD5 = "f" * 32
FALLBACK = Credentials(account="before", password_md5="e" * 32)


async def created(store: Store, **changes: object) -> Account:
    account = builders.account(**changes)
    await store.create_account(account, callback_token=account.id, entry=entry(), idempotency=None)
    return account


async def test_an_account_is_changed_as_a_whole_and_no_secret_is_in_clear(store: Store, database: Database) -> None:
    account = await created(store)
    changed = msgspec.structs.replace(
        account,
        name="another",
        account="main2",
        password_md5=OTHER_MD5,
        password_ref="env:SMS",
        fallback=FALLBACK,
        fallback_until_ms=NOW_MS + 1000,
        weight=7,
        disabled=True,
    )

    await store.change_account(changed, entry=entry())

    after = msgspec.structs.replace(changed, version=2)
    assert await store.account(account.id) == after
    assert await store.accounts() == [after]
    on_disk = database.stored_bytes()
    assert [text for text in (OTHER_MD5, FALLBACK.password_md5) if text.encode() in on_disk] == []
    with pytest.raises(PreconditionFailed):
        await store.change_account(changed, entry=entry())
    await store.forget_expired(NOW_MS + 999)
    assert await store.account(account.id) == after
    await store.forget_expired(NOW_MS + 1000)
    forgot = msgspec.structs.replace(after, fallback=None, fallback_until_ms=None)
    assert await store.account(account.id) == forgot


async def test_of_changes_at_the_same_time_one_is_made_and_a_name_is_given_once(store: Store) -> None:
    account, other = await created(store), await created(store)

    async def change(of: Account, **changes: object) -> str:
        try:
            await store.change_account(msgspec.structs.replace(of, **changes), entry=entry())
        except RelayError as error:
            return type(error).__name__
        return "made"

    ends = await asyncio.gather(*(change(account, weight=weight) for weight in range(5)))
    names = await asyncio.gather(change(msgspec.structs.replace(account, version=2), name="x"), change(other, name="x"))

    assert sorted(ends) == ["PreconditionFailed"] * 4 + ["made"]
    assert sorted(names) == [AlreadyExists.__name__, "made"]


async def test_a_deleted_account_is_gone_but_for_what_it_has_sent(world: World) -> None:
    store = world.store
    account = await created(store, name="twice")
    with pytest.raises(PreconditionFailed):
        await store.delete_account(account.id, version=2, entry=entry(), now_ms=NOW_MS)

    await store.delete_account(account.id, version=1, entry=entry(), now_ms=NOW_MS)

    assert await store.account(account.id) is None
    assert account.id not in [one.id for one in await store.accounts()]
    assert hash_secret(account.id) not in await store.callback_tokens()
    with pytest.raises(NotFound):
        await store.delete_account(account.id, version=None, entry=entry(), now_ms=NOW_MS)
    with pytest.raises(PreconditionFailed):
        await store.change_account(account, entry=entry())
    await created(store, name="twice")


async def test_an_account_is_in_use_until_all_that_it_sent_is_final(world: World) -> None:
    store, account = world.store, world.account

    async def refused() -> str:
        with pytest.raises(InUse) as raised:
            await store.delete_account(account.id, version=None, entry=entry(), now_ms=NOW_MS)
        return raised.value.detail

    numbers = mobiles(1)
    named = await created(store)
    await store.create_team(builders.team(accounts=(named.id,), name="shop"), entry=entry(), idempotency=None)
    with pytest.raises(InUse, match="'shop'"):
        await store.delete_account(named.id, version=None, entry=entry(), now_ms=NOW_MS)
    draft = await world.accept(numbers, status="queued")
    assert await refused() == "Messages wait to be sent by this account."
    (work,) = await world.claim()
    assert await refused() == "A message is being sent by this account."
    await world.finish(work, ACCEPTED)
    assert await refused() == "Reports of messages that this account sent are still to come."
    await world.report(builders.report(task_of(draft), numbers[0]))
    assert await refused() == "This account has sent messages lately: disable it first."
    await store.change_account(msgspec.structs.replace(account, disabled=True), entry=entry())
    # Another gateway may give it messages until it has seen that it is disabled.
    assert await refused() == (
        "This account had messages a moment ago, and others may not know yet: try again in half a minute."
    )
    await store.delete_account(account.id, version=None, entry=entry(), now_ms=NOW_MS + 30_001)
    assert await store.account(account.id) is None


async def test_two_tokens_are_live_at_most(store: Store) -> None:
    account, other = await created(store), await created(store)

    async def rotate(token: str, now_ms: int, expires_ms: int) -> None:
        await store.rotate_callback_token(
            account.id, token, now_ms=now_ms, expires_ms=expires_ms, entry=entry(), idempotency=None
        )

    await rotate("two", NOW_MS + 1, NOW_MS + 100)
    assert await store.callback_tokens_of(account.id) == {
        hash_secret(account.id): callback_token(account.id, NOW_MS, NOW_MS + 100),
        hash_secret("two"): callback_token(account.id, NOW_MS + 1),
    }
    await rotate("three", NOW_MS + 2, NOW_MS + 50)
    live = {
        hash_secret("two"): callback_token(account.id, NOW_MS + 1, NOW_MS + 50),
        hash_secret("three"): callback_token(account.id, NOW_MS + 2),
    }
    assert await store.callback_tokens_of(account.id) == live
    assert await store.callback_tokens() == live | {hash_secret(other.id): callback_token(other.id)}
    assert not await store.revoke_callback_token(other.id, hash_secret("two")[:8].hex(), entry=entry())
    assert await store.revoke_callback_token(account.id, hash_secret("three")[:8].hex(), entry=entry())
    await store.forget_expired(NOW_MS + 50)
    assert await store.callback_tokens_of(account.id) == {}
    with pytest.raises(NotFound):
        await store.rotate_callback_token(
            builders.account().id, "x", now_ms=NOW_MS, expires_ms=NOW_MS, entry=entry(), idempotency=None
        )


async def test_nothing_uses_an_account_that_is_deleted(world: World) -> None:
    store = world.store
    account, gone, raced = await created(store), await created(store), await created(store)
    await store.delete_account(gone.id, version=None, entry=entry(), now_ms=NOW_MS)
    day = QuotaDay(name="2026-11-18", starts_ms=NOW_MS, ends_ms=NOW_MS + 1)
    team = builders.team(accounts=(account.id,), name="shop")
    await store.create_team(team, entry=entry(), idempotency=None)
    lease = ExtensionView(extension="7", team_id=team.id, account_ids=[gone.id])

    with pytest.raises(BodyInvalid):
        await store.create_team(builders.team(accounts=(gone.id,), name="new"), entry=entry(), idempotency=None)
    with pytest.raises(BodyInvalid):
        await store.update_team(
            team, msgspec.structs.replace(team, accounts=(account.id, gone.id)), day=day, entry=entry()
        )
    with pytest.raises(BodyInvalid):
        await store.lease_extension(lease, entry=entry(), idempotency=None)
    ends = await asyncio.gather(
        store.create_team(builders.team(accounts=(raced.id,), name="new"), entry=entry(), idempotency=None),
        store.delete_account(raced.id, version=None, entry=entry(), now_ms=NOW_MS),
        return_exceptions=True,
    )

    assert await store.team(team.id) == team
    assert [type(end) for end in ends if isinstance(end, Exception)] in ([BodyInvalid], [InUse])
