"""``relay teams``: who sends, under which name, on which accounts, and how much."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from relay.cli import exits
from relay.cli.administering import (
    PAGE,
    all_pages,
    find_account,
    find_team,
    json_option,
    keeping,
    print_done,
    print_thing,
    print_things,
    with_admin,
)
from relay.domain.states import Category
from relay.domain.teams import AccountPolicy

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.domain.quotas import TeamUsage
    from relay.domain.teams import TeamView

CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
POLICIES: Final[tuple[AccountPolicy, ...]] = get_args(AccountPolicy)
_COLUMNS: Final = ("id", "name", "signature", "extensions", "quota_units_per_day", "requests_per_s")
_SPANS: Final = {"minute": "per_minute", "hour": "per_hour", "day": "per_day"}
_PART: Final = re.compile(r"([0-9]{1,7})/(minute|hour|day)\Z")
_TEAM: Final = click.argument("team", metavar="TEAM")


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options that ``create`` and ``update`` share."""
    options = (
        click.option("--signature", help="Put in front of every text, with its brackets: 【…】."),
        click.option("--account", "accounts", multiple=True, metavar="ACCOUNT", help="Repeatable, in order."),
        click.option("--extension", "extensions", multiple=True, metavar="DIGITS", help="Repeatable: to be leased."),
        click.option("--quota", type=int, metavar="UNITS", help="Segments x numbers of a day."),
        click.option("--requests-per-s", type=float, metavar="RATE", help="API calls per second, over all replicas."),
        click.option(
            "--limit",
            "limits",
            multiple=True,
            metavar="CATEGORY=LIMIT",
            help="Messages to one number: otp=1/minute,5/hour,10/day; otp=none lifts it, otp=default is as for teams "
            "that say nothing. Repeatable.",
        ),
        click.option("--account-policy", type=click.Choice(POLICIES), help="How an account is chosen."),
        click.option("--dedupe-window-s", type=int, metavar="SECONDS", help="The same text not twice to one number."),
        json_option("the team"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(epilog=exits.HELP)
def teams() -> None:
    """Teams: who sends, and how much.

    TEAM and ACCOUNT are ids or names. Works beside a running gateway, which follows within five seconds.
    """


@teams.command(epilog=exits.HELP)
@click.option("--name", required=True, help="Unique among teams.")
@_settings
def create(as_json: bool, **options: object) -> None:
    """Add a team. Without --account it may use all accounts."""
    from relay.api.bodies import read_json
    from relay.api.team_inputs import TeamInput, team_request
    from relay.domain.audit import COMMAND

    views: list[TeamView] = []

    async def work(admin: "Admin") -> None:
        request = team_request(read_json(_encode(await _named(admin, _body(options))), TeamInput))
        await admin.teams.create_team(request, COMMAND, None, keeping(views))

    with_admin(work)
    print_thing(views[0], as_json=as_json)


@teams.command("list", epilog=exits.HELP)
@json_option("one JSON list")
def list_teams(as_json: bool) -> None:
    """List the teams, newest first."""
    from relay.domain.teams import view_of

    async def work(admin: "Admin") -> "list[TeamView]":
        found = await all_pages(lambda position: admin.store.teams(position=position, limit=PAGE))
        return [view_of(team) for team in found]

    print_things(with_admin(work), _COLUMNS, as_json=as_json)


@teams.command(epilog=exits.HELP)
@_TEAM
@json_option("the team")
def show(team: str, as_json: bool) -> None:
    """Show one team."""
    from relay.domain.errors import NotFound
    from relay.domain.teams import view_of

    async def work(admin: "Admin") -> "TeamView":
        found = await admin.store.team(await find_team(admin, team))
        if found is None:
            raise NotFound("There is no such team.")
        return view_of(found)

    print_thing(with_admin(work), as_json=as_json)


@teams.command(epilog=exits.HELP)
@_TEAM
@click.option("--name", help="Unique among teams.")
@click.option("--no-signature", is_flag=True, help="The team writes its own.")
@click.option("--all-accounts", is_flag=True, help="Also those that are still to come.")
@click.option("--no-extensions", is_flag=True, help="Release all.")
@click.option("--no-quota", is_flag=True, help="As many units as it likes.")
@click.option("--no-rate", is_flag=True, help="As many requests as it likes.")
@_settings
def update(team: str, as_json: bool, **options: object) -> None:
    """Change a team; what is not named stays. --account and --extension replace the whole list."""
    from relay.api.bodies import read_json
    from relay.api.team_inputs import TeamPatchInput, team_patch
    from relay.domain.audit import COMMAND

    body = _body(options)
    for flag, field, empty in (
        ("no_signature", "signature", None),
        ("all_accounts", "accounts", []),
        ("no_extensions", "extensions", []),
        ("no_quota", "quota_units_per_day", None),
        ("no_rate", "requests_per_s", None),
    ):
        if options[flag] and field in body:
            raise click.UsageError(f"--{flag.replace('_', '-')}: another option says otherwise")
        if options[flag]:
            body[field] = empty
    if not body:
        raise click.UsageError("say what is to change; see --help")

    async def work(admin: "Admin") -> "TeamView":
        patch = team_patch(read_json(_encode(await _named(admin, body)), TeamPatchInput))
        view, _ = await admin.teams.update_team(await find_team(admin, team), patch, None, COMMAND)
        return view

    print_thing(with_admin(work), as_json=as_json)


@teams.command(short_help="Delete a team, its keys and extensions.", epilog=exits.HELP)
@_TEAM
@click.option("--yes", is_flag=True, help="Do not ask: it cannot be undone.")
@json_option('{"id": …, "deleted": true}')
def delete(team: str, yes: bool, as_json: bool) -> None:
    """Delete a team: its keys are revoked, its extensions released, its webhook endpoints deleted.

    Refused while any of its messages is not final. Its messages stay for as long as those of others.
    """
    from relay.domain.audit import COMMAND

    if not yes:
        click.confirm(f"Delete the team {team} and revoke its keys? This cannot be undone.", abort=True, err=True)

    async def work(admin: "Admin") -> str:
        team_id = await find_team(admin, team)
        await admin.teams.delete_team(team_id, None, COMMAND)
        return team_id

    team_id = with_admin(work)
    print_done(f"Deleted {team_id}.", as_json=as_json, id=team_id, deleted=True)


@teams.command(epilog=exits.HELP)
@_TEAM
@json_option("the usage")
def usage(team: str, as_json: bool) -> None:
    """Show what a team used of its quota today."""

    async def work(admin: "Admin") -> "TeamUsage":
        return await admin.teams.usage(await find_team(admin, team))

    print_thing(with_admin(work), as_json=as_json)


async def _named(admin: "Admin", body: dict[str, Any]) -> dict[str, Any]:
    """The body with ids for the accounts that were named."""
    if not body.get("accounts"):
        return body
    return body | {"accounts": [await find_account(admin, account) for account in body["accounts"]]}


def _encode(body: dict[str, Any]) -> bytes:
    import msgspec

    return msgspec.json.encode(body)


def _body(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as the API takes them."""
    body = {
        "name": options["name"],
        "signature": options["signature"],
        "accounts": list(options["accounts"]) or None,
        "extensions": list(options["extensions"]) or None,
        "quota_units_per_day": options["quota"],
        "requests_per_s": options["requests_per_s"],
        "recipient_limits": dict(map(_limit, options["limits"])) or None,
        "account_policy": options["account_policy"],
        "dedupe_window_s": options["dedupe_window_s"],
    }
    return {name: value for name, value in body.items() if value is not None}


def _limit(text: str) -> tuple[str, dict[str, int | None] | None]:
    category, _, limit = text.partition("=")
    if category not in CATEGORIES:
        raise click.UsageError(f"--limit: the category is one of {', '.join(CATEGORIES)}")
    if limit == "default":
        return category, None
    parts = [] if limit == "none" else [_PART.match(part) for part in limit.split(",")]
    given = {_SPANS[part[2]]: int(part[1]) for part in parts if part is not None}
    if None in parts or len(given) < len(parts):
        raise click.UsageError("--limit: write it like otp=1/minute,5/hour,10/day, otp=none or otp=default")
    return category, dict.fromkeys(_SPANS.values()) | given
