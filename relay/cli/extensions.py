"""``relay extensions``: which digits behind the provider's number are whose."""

from typing import TYPE_CHECKING, Final

import click

from relay.cli import exits
from relay.cli.administering import (
    PAGE,
    account_if_named,
    account_option,
    all_pages,
    find_team,
    json_option,
    keeping,
    print_done,
    print_things,
    team_if_named,
    team_option,
    with_admin,
)

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.domain.extensions import ExtensionView

_COLUMNS: Final = ("extension", "team_id", "account_ids")


@click.group(epilog=exits.HELP)
def extensions() -> None:
    """Extensions: the digits that answers go to, leased by teams.

    TEAM and ACCOUNT are ids or names. Works beside a running gateway, which follows at once.
    """


@extensions.command("list", epilog=exits.HELP)
@team_option("Those of this team.")
@account_option("Those that hold on this account.")
@json_option("one JSON list")
def list_extensions(team: str | None, account: str | None, as_json: bool) -> None:
    """List leased extensions, in the order of their digits as text."""

    async def work(admin: "Admin") -> "list[ExtensionView]":
        team_id, account_id = await team_if_named(admin, team), await account_if_named(admin, account)
        return await all_pages(
            lambda position: admin.store.extensions(
                team_id=team_id, account_id=account_id, extension=None, position=position, limit=PAGE
            )
        )

    print_things(with_admin(work), _COLUMNS, as_json=as_json)


@extensions.command(epilog=exits.HELP)
@team_option("Whose it will be.", required=True)
@account_option("On this one alone, not on all the team uses.")
@click.option("--extension", metavar="DIGITS", help="This very one, not the lowest free one.")
@json_option("the lease")
def lease(team: str, account: str | None, extension: str | None, as_json: bool) -> None:
    """Lease an extension to a team, and print it.

    The lowest free one is as wide as the accounts say, or else of 4 digits.
    """
    import msgspec

    from relay.api.bodies import read_json
    from relay.api.routes.extensions import LeaseInput, lease_request
    from relay.cli.output import json_line
    from relay.domain.audit import COMMAND

    views: list[ExtensionView] = []

    async def work(admin: "Admin") -> None:
        owner, on = await find_team(admin, team), await account_if_named(admin, account)
        body = {"team_id": owner, "account_id": on, "extension": extension}
        request = lease_request(read_json(msgspec.json.encode(body), LeaseInput))
        await admin.extensions.lease(request, COMMAND, None, keeping(views))

    with_admin(work)
    if as_json:
        json_line(views[0])
    else:
        click.echo(views[0].extension)


@extensions.command(epilog=exits.HELP)
@click.argument("extension", metavar="DIGITS")
@team_option("Whose it is.", required=True)
@account_option("On this account alone, not wherever it is leased.")
@click.option("--yes", is_flag=True, help="Do not ask: somebody else may lease it at once.")
@json_option('{"extension": …, "released": true}')
def release(extension: str, team: str, account: str | None, yes: bool, as_json: bool) -> None:
    """Give an extension back: others may lease it, and answers to it do not come to the team any more."""
    from relay.domain.audit import COMMAND

    if not yes:
        click.confirm(f"Release {extension}? Others may lease it at once.", abort=True, err=True)

    async def work(admin: "Admin") -> None:
        owner, on = await find_team(admin, team), await account_if_named(admin, account)
        await admin.extensions.release(owner, extension, on, COMMAND)

    with_admin(work)
    print_done(f"Released {extension}.", as_json=as_json, extension=extension, released=True)
