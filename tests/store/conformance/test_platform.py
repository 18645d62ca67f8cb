"""Accounts, teams, keys, endpoints as they are administered; secrets at rest."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from relay.domain.accounts import BalanceView
from relay.domain.endpoints import Endpoint
from relay.domain.errors import AlreadyExists, IdempotencyKeyReused
from relay.domain.ids import TeamId
from relay.domain.provider import Balance
from relay.domain.teams import TEAM_SCOPES, Principal, hash_secret
from relay.domain.times import instant
from relay.ports import Idempotency, Replay, Store, Stored
from tests.store import builders
from tests.store.builders import NOW_MS, PASSWORD_MD5, entry, idempotency
from tests.store.conformance.engines import Database
from tests.store.conformance.world import World

SECRET = "rk_live_" + "s" * 49


async def test_an_account_is_read_back_with_its_credentials(store: Store, database: Database) -> None:
    first, second = builders.account(), builders.account(disabled=True, sandbox=True, callback_allow=())
    for account in (first, second):
        assert (
            await store.create_account(account, callback_token=account.id, entry=entry(), idempotency=None) == Stored()
        )
    assert await store.accounts() == [first, second]
    async with database.open() as reopened:
        assert await reopened.accounts() == [first, second]


async def test_no_secret_is_on_the_disk_in_clear(store: Store, database: Database) -> None:
    account, team = builders.account(), builders.team()
    await store.create_account(account, callback_token="the callback token", entry=entry(), idempotency=None)
    await store.create_team(team, entry=entry(), idempotency=None)
    await store.create_key(
        builders.key(team.id, SECRET), entry=entry(), idempotency=idempotency("admin", answer=SECRET.encode())
    )
    new = builders.endpoint(team.id, headers={"X-Api-Key": "their password"})
    await store.create_endpoint(new, None)
    on_disk = database.stored_bytes()
    assert account.name.encode() in on_disk
    clear = [PASSWORD_MD5, "the callback token", SECRET, new.secret, "c2VjcmV0", "their password"]
    assert [text for text in clear if text.encode() in on_disk or text.upper().encode() in on_disk] == []
    assert [text for text in (PASSWORD_MD5,) if bytes.fromhex(text) in on_disk] == []


async def test_a_taken_account_name_is_refused_and_stores_nothing(store: Store) -> None:
    account = builders.account(name="first")
    await store.create_account(account, callback_token="token 1", entry=entry(), idempotency=None)
    with pytest.raises(AlreadyExists):
        await store.create_account(
            builders.account(name="first"), callback_token="token 2", entry=entry(), idempotency=idempotency("admin")
        )
    assert await store.accounts() == [account]
    assert await store.callback_tokens() == {hash_secret("token 1"): builders.callback_token(account.id)}
    assert await store.find_replay("admin", "key 1", b"request 1") is None


async def test_callback_tokens_are_known_by_their_hash(store: Store) -> None:
    first, second = builders.account(), builders.account()
    await store.create_account(first, callback_token="one", entry=entry(), idempotency=None)
    await store.create_account(second, callback_token="two", entry=entry(), idempotency=None)
    assert await store.callback_tokens() == {
        hash_secret("one"): builders.callback_token(first.id),
        hash_secret("two"): builders.callback_token(second.id),
    }


async def test_balances_are_the_last_known_in_the_order_asked_for(store: Store) -> None:
    first, second = builders.account(), builders.account()
    for account in (first, second):
        await store.create_account(account, callback_token=account.id, entry=entry(), idempotency=None)
    await store.keep_balance(first, Balance(amount="10.5", prepaid=True), NOW_MS)
    await store.keep_balance(first, Balance(amount="9.50", prepaid=False), NOW_MS + 1)
    unknown = builders.account().id
    assert await store.balances((second.id, unknown, first.id)) == [
        BalanceView(
            account_id=second.id, account_name=second.name, balance=None, prepaid=None, days_left=None, as_of=None
        ),
        BalanceView(
            account_id=first.id,
            account_name=first.name,
            balance="9.50",
            prepaid=False,
            days_left=None,
            as_of=instant(NOW_MS + 1),
        ),
    ]


async def test_a_team_is_read_back_whole(store: Store) -> None:
    account = builders.account()
    await store.create_account(account, callback_token="t", entry=entry(), idempotency=None)
    team = builders.team(accounts=(account.id,), extensions=("88", "89"), quota_units_per_day=100, requests_per_s=2.5)
    bare = builders.team(signature=None, recipient_limits={})
    for made in (team, bare):
        assert await store.create_team(made, entry=entry(), idempotency=None) == Stored()
    assert [await store.team(made.id) for made in (team, bare)] == [team, bare]
    assert await store.team("team_" + "0" * 32) is None


@pytest.mark.parametrize("taken", [{"name": "orders"}, {"extensions": ("90", "88")}])
async def test_a_taken_team_name_or_extension_is_refused_and_stores_nothing(
    store: Store, taken: dict[str, object]
) -> None:
    await store.create_team(builders.team(name="orders", extensions=("88",)), entry=entry(), idempotency=None)
    refused = builders.team(**taken)
    with pytest.raises(AlreadyExists):
        await store.create_team(refused, entry=entry(), idempotency=idempotency("admin"))
    assert await store.team(refused.id) is None
    assert await store.find_replay("admin", "key 1", b"request 1") is None
    assert (
        await store.create_team(builders.team(extensions=("90",)), entry=entry(), idempotency=idempotency("admin"))
        == Stored()
    )


async def test_a_key_is_found_by_its_hash(store: Store) -> None:
    team = builders.team(extensions=("88",))
    await store.create_team(team, entry=entry(), idempotency=None)
    own, platform = builders.key(team.id, SECRET, expires_ms=NOW_MS - 1), builders.key(None, "another")
    for key in (own, platform):
        assert await store.create_key(key, entry=entry(), idempotency=None) == Stored()
    assert await store.find_principal(hash_secret(SECRET)) == Principal(
        key_id=own.view.id, team=team, scopes=frozenset(TEAM_SCOPES), mode="live", expires_ms=NOW_MS - 1
    )
    assert await store.find_principal(hash_secret("another")) == Principal(
        key_id=platform.view.id, team=None, scopes=frozenset({"admin"}), mode="live", expires_ms=None
    )
    assert await store.find_principal(hash_secret("unknown")) is None
    assert [await store.key(key.view.id) for key in (own, platform)] == [own.view, platform.view]
    assert await store.key("key_" + "0" * 32) is None


async def test_a_revoked_key_is_nobodys(store: Store, database: Database) -> None:
    team = builders.team()
    await store.create_team(team, entry=entry(), idempotency=None)
    await store.create_key(builders.key(team.id, SECRET), entry=entry(), idempotency=None)
    database.execute("UPDATE api_keys SET revoked_ms = 1")
    assert await store.find_principal(hash_secret(SECRET)) is None


async def test_an_endpoint_is_seen_without_its_secrets_and_loaded_with_them(store: Store) -> None:
    team = builders.team()
    headers = {"Authorization": "Bearer x", "x-Api-Key": "y", "X-Shop": "3"}
    new = builders.endpoint(
        team.id, headers=headers, event_types=["message.*"], extensions=["88"], description="orders", max_in_flight=3
    )
    assert await store.create_endpoint(new, None) == Stored()
    shown = msgspec.structs.replace(new.view, headers={"Authorization": "***", "x-Api-Key": "***", "X-Shop": "3"})
    assert await store.endpoint_view(team.id, new.view.id) == shown
    assert (await store.endpoint_views(team.id, position=None, limit=10)).data == [shown]
    assert await store.load_endpoint(new.view.id) == Endpoint(
        id=new.view.id,
        team_id=team.id,
        url="https://subscriber.example/hook",
        event_types=("message.*",),
        extensions=("88",),
        headers=headers,
        max_in_flight=3,
        secrets=(new.secret,),
        status="enabled",
        paused_until_ms=None,
    )


# -- what all creations have in common -------------------------------------------------------------------------------

Create = Callable[[World, Idempotency], Awaitable[Stored | Replay]]
CREATIONS: dict[str, Create] = {
    "account": lambda world, use: world.store.create_account(
        builders.account(), callback_token=builders.new_id(""), entry=entry(), idempotency=use
    ),
    "team": lambda world, use: world.store.create_team(builders.team(), entry=entry(), idempotency=use),
    "key": lambda world, use: world.store.create_key(
        builders.key(world.team.id, builders.new_id("")), entry=entry(), idempotency=use
    ),
    "endpoint": lambda world, use: world.store.create_endpoint(builders.endpoint(world.team.id), use),
}


@pytest.mark.parametrize("kind", CREATIONS)
async def test_a_repeated_creation_gets_the_first_answer_and_creates_nothing(
    world: World, database: Database, kind: str
) -> None:
    create = CREATIONS[kind]
    assert await create(world, idempotency("admin")) == Stored()
    counts = _rows(database)
    assert await create(world, idempotency("admin")) == Replay(status=202, answer=b'{"id":"first"}')
    with pytest.raises(IdempotencyKeyReused):
        await create(world, idempotency("admin", fingerprint=b"request 2"))
    assert _rows(database) == counts


def _rows(database: Database) -> list[int]:
    tables = ("accounts", "callback_tokens", "teams", "api_keys", "endpoints", "idempotency")
    return [database.execute(f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables]  # noqa: S608 - the names above


async def _teams(world: World, position: str | None) -> tuple[list[str], str | None]:
    page = await world.store.teams(position=position, limit=2)
    return [team.id for team in page.data], page.next_position


async def _keys(world: World, position: str | None) -> tuple[list[str], str | None]:
    page = await world.store.keys(team_id=None, position=position, limit=2)
    return [key.id for key in page.data], page.next_position


async def _endpoints(world: World, position: str | None) -> tuple[list[str], str | None]:
    page = await world.store.endpoint_views(world.team.id, position=position, limit=2)
    return [endpoint.id for endpoint in page.data], page.next_position


LISTS = {"team": _teams, "key": _keys, "endpoint": _endpoints}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
async def test_a_list_is_read_page_by_page_newest_first(world: World, kind: str, count: int) -> None:
    already = 1 if kind == "team" else 0
    for index in range(count - already):
        await CREATIONS[kind](world, idempotency("admin", f"key {index}"))
    pages: list[list[str]] = []
    position: str | None = None
    while not pages or position is not None:
        page, position = await LISTS[kind](world, position)
        pages.append(page)
    ids = [own for page in pages for own in page]
    assert [len(page) for page in pages] == [2] * (count // 2) + [1] * (count % 2)
    assert ids == sorted(set(ids), reverse=True)


async def test_keys_are_listed_of_one_team_or_of_all(world: World) -> None:
    own = [builders.key(world.team.id, f"own {index}") for index in range(3)]
    other = builders.key(TeamId(builders.new_id("team_")), "other")
    platform = builders.key(None, "platform")
    for key in (own[0], other, own[1], platform, own[2]):
        await world.store.create_key(key, entry=entry(), idempotency=None)
    first = await world.store.keys(team_id=world.team.id, position=None, limit=2)
    second = await world.store.keys(team_id=world.team.id, position=first.next_position, limit=2)
    ids = sorted((key.view.id for key in own), reverse=True)
    assert [[view.id for view in page.data] for page in (first, second)] == [ids[:2], ids[2:]]
    assert len((await world.store.keys(team_id=None, position=None, limit=10)).data) == 5
