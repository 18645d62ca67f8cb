"""``relay keys create``: the way to the first platform key, and to any other without an HTTP call."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Final, get_args

import click

from relay.cli import exits
from relay.domain.teams import TEAM_SCOPES, Mode, Scope

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.config import Settings
    from relay.domain.teams import KeyView
    from relay.services.admin.keys import KeysAdmin
    from relay.services.requests import KeyRequest

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
MODES: Final[tuple[Mode, ...]] = get_args(Mode)


@click.group(epilog=exits.HELP)
def keys() -> None:
    """API keys."""


@keys.command(epilog=exits.HELP)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([*SCOPES, "team"]),
    help='Repeatable. "admin" makes a platform key; "team" means every scope of a team.',
)
@click.option("--team", "team_id", metavar="TEAM_ID", help="The team that the key belongs to; all but admin need it.")
@click.option("--name", help="To tell keys apart in lists.")
@click.option("--mode", type=click.Choice(MODES), default="live", show_default=True, help="test: sandbox only.")
@click.option("--expires-at", metavar="TIME", help="RFC 3339, for example 2027-01-31T00:00:00Z; never without it.")
@click.option("--json", "as_json", is_flag=True, help='Print {"id": …, "secret": …}.')
def create(
    scopes: tuple[str, ...],
    team_id: str | None,
    name: str | None,
    mode: Mode,
    expires_at: str | None,
    as_json: bool,
) -> None:
    """Make a key and print its secret, once.

    Works beside a running gateway. `relay keys create --scope admin` makes the first platform key.
    """
    from relay.cli import running
    from relay.domain.ids import PREFIXES, TeamId, is_id
    from relay.services.requests import KeyRequest

    if team_id is not None and not is_id(team_id, PREFIXES["team"]):
        raise click.UsageError("--team: a team's id reads team_ and 32 hex digits")
    if ("admin" in scopes) == (team_id is not None):
        raise click.UsageError("give --team TEAM_ID, or --scope admin alone")
    request = KeyRequest(
        team_id=None if team_id is None else TeamId(team_id),
        scopes=_all_of(scopes),
        mode=mode,
        expires_ms=_read_time(expires_at),
        name=name,
    )
    settings = running.settings()
    running.log_as(settings)
    key_id, secret = running.run(_create(settings, request))
    if as_json:
        click.echo(json.dumps({"id": key_id, "secret": secret}))
    else:
        click.echo(f"{key_id}\n{secret}")
        click.echo("The secret is shown this once.", err=True)


def _all_of(scopes: tuple[str, ...]) -> list[Scope]:
    wanted = {*scopes, *(TEAM_SCOPES if "team" in scopes else ())}
    return [scope for scope in SCOPES if scope in wanted]


def _read_time(text: str | None) -> int | None:
    from relay.domain.times import to_ms

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise click.UsageError("--expires-at: write it like 2027-01-31T00:00:00Z") from exc
    if moment.tzinfo is None:
        raise click.UsageError("--expires-at: say the time zone, for example Z")
    return to_ms(moment)


async def issue(admin: "KeysAdmin", request: "KeyRequest") -> tuple[str, str]:
    """A new key: its id and its secret. Raises BodyInvalid."""
    made: list[tuple[str, str]] = []

    def render(view: "KeyView", secret: str) -> bytes:
        made.append((view.id, secret))
        return b""

    from relay.domain.audit import COMMAND

    await admin.create_key(request, COMMAND, None, render)
    return made[0]


async def _create(settings: "Settings", request: "KeyRequest") -> tuple[str, str]:
    from relay import app
    from relay.services.admin.keys import KeysAdmin
    from relay.system import SystemClock, SystemEntropy

    clock = SystemClock()
    async with app.open_store(settings) as store:
        return await issue(KeysAdmin(store, clock, SystemEntropy()), request)
