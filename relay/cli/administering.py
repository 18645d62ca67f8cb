"""What commands of the platform team share: its use cases on the database that the settings name, teams and accounts
by id or by name, and how one thing is printed."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:  # imported when it is known that the command runs
    import msgspec

    from relay.app.admin import Admin
    from relay.domain.ids import AccountId, TeamId
    from relay.ports import Page

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
PAGE: Final = 200


def with_admin(work: "Callable[[Admin], Awaitable[T]]") -> T:
    """What ``work`` gives. Raises StoreUnavailable, KeyRingError, and whatever it raises."""
    from relay.cli import running

    settings = running.settings()
    running.log_as(settings)

    async def run() -> T:
        from relay.app.admin import open_admin

        async with open_admin(settings) as admin:
            return await work(admin)

    return running.run(run())


def keeping(made: list[T]) -> Callable[[T], bytes]:
    """A ``render`` that keeps what would be answered: a command prints it, and has no answer to be replayed."""

    def render(view: T) -> bytes:
        made.append(view)
        return b""

    return render


async def all_pages(page_from: "Callable[[str | None], Awaitable[Page[T]]]") -> list[T]:
    """Everything, in the order of its pages."""
    found: list[T] = []
    position: str | None = None
    while True:
        page = await page_from(position)
        found += page.data
        position = page.next_position
        if position is None:
            return found


def json_option(what: str) -> Callable[[F], F]:
    """``--json``, which prints ``what``."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what}.")


def team_option(what: str, *, required: bool = False) -> Callable[[F], F]:
    """``--team`` for ``find_team``."""
    return click.option("--team", metavar="TEAM", required=required, help=what)


def account_option(what: str) -> Callable[[F], F]:
    """``--account`` for ``find_account``."""
    return click.option("--account", metavar="ACCOUNT", help=what)


async def find_team(admin: "Admin", named: str) -> "TeamId":
    """The team of this id or name. An id is taken at its word: what hung on a team that is gone can still be looked at.
    Raises NotFound."""
    from relay.domain.errors import NotFound
    from relay.domain.ids import PREFIXES, TeamId, is_id

    if is_id(named, PREFIXES["team"]):
        return TeamId(named)
    for team in await all_pages(lambda position: admin.store.teams(position=position, limit=PAGE)):
        if team.name == named:
            return team.id
    raise NotFound("There is no team of this id or name: `relay teams list` shows them.")


async def find_account(admin: "Admin", named: str) -> "AccountId":
    """The same for a provider account."""
    from relay.domain.errors import NotFound
    from relay.domain.ids import PREFIXES, AccountId, is_id

    if is_id(named, PREFIXES["account"]):
        return AccountId(named)
    for account in await admin.store.accounts():
        if account.name == named:
            return account.id
    raise NotFound("There is no account of this id or name: `relay accounts list` shows them.")


async def team_if_named(admin: "Admin", named: str | None) -> "TeamId | None":
    """``find_team`` where a team was named."""
    return None if named is None else await find_team(admin, named)


async def account_if_named(admin: "Admin", named: str | None) -> "AccountId | None":
    """``find_account`` where an account was named."""
    return None if named is None else await find_account(admin, named)


def print_thing(thing: "msgspec.Struct", *, as_json: bool) -> None:
    """One thing, for people or for scripts."""
    from relay.cli import output

    if as_json:
        output.json_line(thing)
    else:
        output.card(thing)


def print_things(things: "list[Any]", columns: tuple[str, ...], *, as_json: bool) -> None:
    """Many: a table with these columns, or one JSON list."""
    from relay.cli import output

    if as_json:
        output.json_line(things)
    else:
        output.table(things, columns)


def print_done(said: str, *, as_json: bool, **facts: object) -> None:
    """What was done, where there is nothing left to show: a sentence, or one JSON object."""
    from relay.cli import output

    if as_json:
        output.json_line(facts)
    else:
        click.echo(said)


def print_answer(answer: object, kind: "type[msgspec.Struct]", *, as_json: bool) -> None:
    """The same for what a use case answered: JSON of a ``kind``. Nobody else asked, so it is no replay."""
    import msgspec

    assert isinstance(answer, bytes)  # noqa: S101 - a command has no Idempotency-Key
    if as_json:
        click.echo(answer)
    else:
        print_thing(msgspec.json.decode(answer, type=kind), as_json=False)
