"""``relay dev``: gateway and sandbox for somebody at a keyboard."""

import shlex
import sys
from typing import TYPE_CHECKING, Final

import click

from relay.cli import exits
from relay.cli.administering import PAGE, all_pages

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.api.services import ApiServices
    from relay.app import Running
    from relay.domain.ids import TeamId
    from relay.domain.teams import TeamView

USUAL: Final = {
    "env": "development",
    "host": "127.0.0.1",
    "log_format": "console",
    "log_level": "info",
    "drain_s": "2",
    "drain_announce_s": "0",
}
"""Settings that differ from the defaults, where the environment does not set them."""
TEAM: Final = "demo"
SIGNATURE: Final = "【演示】"
KEY_DAYS: Final = 30
MOBILE: Final = "13800130001"


@click.command(short_help="Gateway and sandbox for development; prints a curl line.", epilog=exits.HELP)
@click.pass_context
def dev(ctx: click.Context) -> None:
    """Run gateway and embedded sandbox for development; prints an address, a key, and a curl line that works.

    Data stays in RELAY_DATA_DIR (./var). The team "demo" is made once; its key is a new one at every start and expires
    after 30 days. Nothing is sent to a real phone.
    """
    from relay.cli import running

    settings = running.settings(**USUAL)
    running.log_as(settings)
    # Last, for it takes the longest: a wrong setting is told at once.
    from relay import app

    ctx.exit(running.run(app.serve(settings, announce=_announce)))


async def _announce(gateway: "Running") -> None:
    key = await _team_key(gateway)
    click.echo(welcome(gateway.url, gateway.sandbox_url, key))
    sys.stdout.flush()


def welcome(url: str, sandbox_url: str | None, key: str) -> str:
    """What the terminal shows when everything runs."""
    body = f'{{"to": "{MOBILE}", "text": "Hello from relay"}}'
    curl = (
        f"curl -s {url}/v1/messages -H {shlex.quote(f'Authorization: Bearer {key}')} "
        f"-H 'Content-Type: application/json' -H 'Prefer: wait=5' -d {shlex.quote(body)}"
    )
    lines = [
        "",
        f"  documentation  {url}/docs",
        f"  console        {url}/console",
        f"  sandbox        {sandbox_url or 'off'}",
        f"  team key       {key}",
        "",
        "  Paste this; the number ends in 0001, so the sandbox delivers it:",
        "",
        f"  {curl}",
        "",
        "  Ctrl-C ends it.",
        "",
    ]
    return "\n".join(lines)


async def _team_key(gateway: "Running") -> str:
    from relay.cli.keys import issue
    from relay.domain.teams import TEAM_SCOPES
    from relay.domain.times import DAY_MS
    from relay.services.requests import KeyRequest

    services = gateway.services
    request = KeyRequest(
        team_id=await _team_id(services),
        scopes=list(TEAM_SCOPES),
        mode="test",
        name="relay dev",
        expires_ms=services.clock.now_ms() + KEY_DAYS * DAY_MS,
    )
    _, secret = await issue(services.keys_admin, request)
    return secret


async def _team_id(services: "ApiServices") -> "TeamId":
    """The team of this name, made when there is none."""
    from relay.domain.audit import COMMAND
    from relay.services.requests import TeamRequest

    for team in await all_pages(lambda position: services.store.teams(position=position, limit=PAGE)):
        if team.name == TEAM:
            return team.id
    made: list[TeamId] = []

    def render(view: "TeamView") -> bytes:
        made.append(view.id)
        return b""

    await services.teams_admin.create_team(TeamRequest(name=TEAM, signature=SIGNATURE), COMMAND, None, render)
    return made[0]
