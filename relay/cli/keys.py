"""``relay keys``: the way to the first platform key, and to all others without an HTTP call."""

import json
from typing import TYPE_CHECKING, Final, get_args

import click

from relay.cli import exits
from relay.cli.administering import (
    PAGE,
    all_pages,
    json_option,
    print_thing,
    print_things,
    team_if_named,
    team_option,
    with_admin,
)
from relay.cli.options import Id, Moment
from relay.domain.teams import TEAM_SCOPES, Mode, Scope

if TYPE_CHECKING:  # imported when it is known that the command runs
    from typing import TextIO

    from relay.app.admin import Admin
    from relay.domain.keys import KeyView
    from relay.services.admin.keys import KeysAdmin
    from relay.services.requests import KeyRequest

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
_EXPIRES: Final = "RFC 3339, for example 2027-01-31T00:00:00Z; never without it."
_COLUMNS: Final = ("id", "name", "hint", "team_id", "scopes", "mode", "expires_at", "last_used_at", "revoked_at")


@click.group(epilog=exits.HELP)
def keys() -> None:
    """API keys.

    TEAM is an id or a name. Works beside a running gateway.
    """


@keys.command(epilog=exits.HELP)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([*SCOPES, "team"]),
    help='Repeatable. "admin" makes a platform key; "team" means every scope of a team.',
)
@team_option("The team of the key; all but admin need it.")
@click.option("--name", help="To tell keys apart in lists.")
@click.option("--mode", type=click.Choice(MODES), default="live", show_default=True, help="test: sandbox only.")
@click.option("--expires-at", "expires_ms", metavar="TIME", type=Moment(), help=_EXPIRES)
@json_option('{"id": …, "secret": …}')
def create(
    scopes: tuple[str, ...],
    team: str | None,
    name: str | None,
    mode: Mode,
    expires_ms: int | None,
    as_json: bool,
) -> None:
    """Make a key and print its secret, once.

    `relay keys create --scope admin` makes the first platform key.
    """
    from relay.services.requests import KeyRequest

    if ("admin" in scopes) == (team is not None):
        raise click.UsageError("give --team TEAM, or --scope admin alone")

    async def work(admin: "Admin") -> tuple[str, str]:
        request = KeyRequest(
            team_id=await team_if_named(admin, team),
            scopes=_all_of(scopes),
            mode=mode,
            expires_ms=expires_ms,
            name=name,
        )
        return await issue(admin.keys, request)

    _print_secret(*with_admin(work), as_json=as_json)


@keys.command("list", epilog=exits.HELP)
@team_option("Those of this team.")
@click.option("--all", "include_revoked", is_flag=True, help="Those that were revoked, too.")
@json_option("one JSON list")
def list_keys(team: str | None, include_revoked: bool, as_json: bool) -> None:
    """List keys, newest first."""

    async def work(admin: "Admin") -> "list[KeyView]":
        team_id = await team_if_named(admin, team)
        return await all_pages(
            lambda position: admin.store.keys(
                team_id=team_id, position=position, limit=PAGE, include_revoked=include_revoked
            )
        )

    print_things(with_admin(work), _COLUMNS, as_json=as_json)


@keys.command(epilog=exits.HELP)
@click.argument("key_id", type=Id("key"))
@json_option("the key")
def show(key_id: str, as_json: bool) -> None:
    """Show one key, without its secret."""
    print_thing(with_admin(lambda admin: _show(admin, key_id)), as_json=as_json)


@keys.command(epilog=exits.HELP)
@click.argument("key_id", type=Id("key"))
@click.option("--yes", is_flag=True, help="Do not ask: it cannot be undone.")
@json_option("the key")
def revoke(key_id: str, yes: bool, as_json: bool) -> None:
    """End a key. A running gateway lets nobody in by it after 5 seconds at most."""
    if not yes:
        click.confirm(f"Revoke {key_id}? This cannot be undone.", abort=True, err=True)
    print_thing(with_admin(lambda admin: _revoke(admin, key_id)), as_json=as_json)


@keys.command(epilog=exits.HELP)
@click.argument("key_id", type=Id("key"))
@click.option(
    "--overlap",
    "overlap_s",
    metavar="SECONDS",
    type=click.IntRange(0, 30 * 86_400),
    default=86_400,
    show_default=True,
    help="So long the old key goes on, up to 30 days.",
)
@json_option('{"id": …, "secret": …}')
def rotate(key_id: str, overlap_s: int, as_json: bool) -> None:
    """Make a new key in place of an old one, and print its secret, once.

    It has the same team, scopes, mode and name.
    """
    made = with_admin(lambda admin: _rotate(admin, key_id, overlap_s))
    _print_secret(*made, as_json=as_json)


@keys.command(epilog=exits.HELP)
@click.argument("source", type=click.File("r", encoding="utf-8", errors="replace"), default="-")
@json_option('one JSON list of {"hint", "state", "id", …}')
@click.pass_context
def check(ctx: click.Context, source: "TextIO", as_json: bool) -> None:
    """Tell which keys stand in a text, from a file or standard input.

    For what a scanner has found: each text of the form of a key with the right checksum is looked up, and its id, its
    hint and its state are printed, never its secret. The exit code is 1 when one of them still works.
    """
    from relay.domain.keys import find_keys

    found = with_admin(lambda admin: admin.keys.look_up(find_keys(source.read())))
    print_things(found, ("hint", "state", "id", "team_id", "name", "last_used_at"), as_json=as_json)
    if any(finding.state == "active" for finding in found):
        ctx.exit(exits.FAILED)


def _all_of(scopes: tuple[str, ...]) -> list[Scope]:
    wanted = {*scopes, *(TEAM_SCOPES if "team" in scopes else ())}
    return [scope for scope in SCOPES if scope in wanted]


def _print_secret(key_id: str, secret: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"id": key_id, "secret": secret}))
    else:
        click.echo(f"{key_id}\n{secret}")
        click.echo("The secret is shown this once.", err=True)


async def issue(admin: "KeysAdmin", request: "KeyRequest") -> tuple[str, str]:
    """A new key: its id and its secret. Raises BodyInvalid."""
    from relay.domain.audit import COMMAND

    made: list[tuple[str, str]] = []

    def render(view: "KeyView", secret: str) -> bytes:
        made.append((view.id, secret))
        return b""

    await admin.create_key(request, COMMAND, None, render)
    return made[0]


async def _show(admin: "Admin", key_id: str) -> "KeyView":
    from relay.domain.errors import NotFound

    view = await admin.store.key(key_id)
    if view is None:
        raise NotFound("There is no such key.")
    return view


async def _revoke(admin: "Admin", key_id: str) -> "KeyView":
    from relay.domain.audit import COMMAND

    await admin.keys.revoke_key(key_id, COMMAND, None, lambda view: b"")
    return await _show(admin, key_id)


async def _rotate(admin: "Admin", key_id: str, overlap_s: int) -> tuple[str, str]:
    from relay.domain.audit import COMMAND
    from relay.services.requests import KeyRotation

    made: list[tuple[str, str]] = []

    def render(view: "KeyView", secret: str, old: "KeyView") -> bytes:
        made.append((view.id, secret))
        return b""

    await admin.keys.rotate_key(key_id, KeyRotation(overlap_s=overlap_s), COMMAND, None, render)
    return made[-1]
