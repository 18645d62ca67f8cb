"""``relay extensions``: which digits behind the provider's number are whose."""

from typing import TYPE_CHECKING, Final

import click

from relay.cli import exits
from relay.cli.administering import each, keeping, with_admin
from relay.cli.teams import PAGE, team_of

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.domain.extensions import ExtensionView
    from relay.domain.ids import AccountId

COLUMNS: Final = ("extension", "team_id", "account_ids")
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group(epilog=exits.HELP)
def extensions() -> None:
    """Extensions: the digits that answers go to, leased by teams.

    Works beside a running gateway, which follows at once.
    """


@extensions.command("list", epilog=exits.HELP)
@click.option("--team", "team_id", metavar="TEAM_ID", help="Of this team.")
@click.option("--account", "account_id", metavar="ACCOUNT_ID", help="Those that hold on this account.")
@_JSON
def list_extensions(team_id: str | None, account_id: str | None, as_json: bool) -> None:
    """Leased extensions, in the order of their digits as text."""
    from relay.cli.output import json_line, table

    team = None if team_id is None else team_of(team_id)
    account = _account_of(account_id)

    async def all_of(admin: "Admin") -> "list[ExtensionView]":
        pages = each(
            lambda position: admin.store.extensions(
                team_id=team, account_id=account, extension=None, position=position, limit=PAGE
            )
        )
        return [view async for view in pages]

    views = with_admin(all_of)
    if as_json:
        json_line(views)
    else:
        table(views, COLUMNS)


@extensions.command(epilog=exits.HELP)
@click.option("--team", "team_id", metavar="TEAM_ID", required=True, help="Whose it will be.")
@click.option("--account", "account_id", metavar="ACCOUNT_ID", help="On this one alone, not on all the team uses.")
@click.option("--extension", metavar="DIGITS", help="This very one, not the lowest free one.")
@_JSON
def lease(team_id: str, account_id: str | None, extension: str | None, as_json: bool) -> None:
    """Lease an extension to a team, and print it.

    The lowest free one is as wide as the accounts say, or else of 4 digits.
    """
    import msgspec

    from relay.api.bodies import read_json
    from relay.api.routes.extensions import LeaseInput, lease_request
    from relay.cli.output import json_line
    from relay.domain.audit import COMMAND

    body = {"team_id": team_of(team_id), "account_id": _account_of(account_id), "extension": extension}
    request = lease_request(read_json(msgspec.json.encode(body), LeaseInput))
    views: list[ExtensionView] = []
    with_admin(lambda admin: admin.extensions.lease(request, COMMAND, None, keeping(views)))
    if as_json:
        json_line(views[0])
    else:
        click.echo(views[0].extension)


@extensions.command(epilog=exits.HELP)
@click.argument("extension", metavar="DIGITS")
@click.option("--team", "team_id", metavar="TEAM_ID", required=True, help="Whose it is.")
@click.option("--account", "account_id", metavar="ACCOUNT_ID", help="On this account alone, not wherever it is leased.")
@click.option("--yes", is_flag=True, help="Do not ask: somebody else may lease it at once.")
def release(extension: str, team_id: str, account_id: str | None, yes: bool) -> None:
    """Give an extension back: others may lease it, and answers to it do not come to the team any more."""
    from relay.domain.audit import COMMAND

    team, account = team_of(team_id), _account_of(account_id)
    if not yes:
        click.confirm(f"Release {extension}? Others may lease it at once.", abort=True, err=True)
    with_admin(lambda admin: admin.extensions.release(team, extension, account, COMMAND))


def _account_of(account_id: str | None) -> "AccountId | None":
    from relay.domain.ids import PREFIXES, AccountId, is_id

    if account_id is not None and not is_id(account_id, PREFIXES["account"]):
        raise click.UsageError("an account's id reads acct_ and 32 hex digits")
    return None if account_id is None else AccountId(account_id)
