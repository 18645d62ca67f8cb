"""``relay demo``: the whole product in a few seconds, on temporary ports and in a temporary directory."""

import asyncio
from typing import TYPE_CHECKING, Final

import click

from relay.cli import exits

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Running
    from relay.cli.story import Timeline
    from relay.config import Settings

MOST_S: Final = 30.0
STOP_S: Final = 5.0


@click.command(short_help="The whole story on temporary ports; exit code 0 if every step was seen.", epilog=exits.HELP)
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Send to three made-up numbers and watch reports, an inbound message and signed webhooks come.

    Nothing leaves this machine and nothing is kept. Exit code 0 only if every step was seen within 30 seconds.
    """
    import tempfile

    from relay.cli import running
    from relay.cli.story import Timeline
    from relay.config import load

    with tempfile.TemporaryDirectory(prefix="relay-demo-") as directory:
        # Not the caller's environment: the demo must neither touch their data nor depend on their settings.
        settings = load(
            {
                "RELAY_ENV": "development",
                "RELAY_HOST": "127.0.0.1",
                "RELAY_PORT": "0",
                "RELAY_DATA_DIR": directory,
                "RELAY_LOG_LEVEL": "warning",
                "RELAY_LOG_FORMAT": "console",
                "RELAY_SANDBOX_REPORT_DELAY_MS": "500",
                "RELAY_DRAIN_S": "1",
                "RELAY_DRAIN_ANNOUNCE_S": "0",
            }
        )
        running.log_as(settings)
        from relay import app  # noqa: F401 - loading takes longer than the story, and is not part of it

        timeline = Timeline(click.echo)
        running.run(_tell(settings, timeline))
    if timeline.missing:
        for text in timeline.missing.values():
            click.echo(f"not seen: {text}", err=True)
        ctx.exit(exits.FAILED)
    click.echo("Every step was seen.")


async def _tell(settings: "Settings", timeline: "Timeline") -> None:
    from relay import app

    started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()

    async def announce(gateway: "Running") -> None:
        started.set_result(gateway)

    serving = asyncio.create_task(app.serve(settings, announce=announce))
    try:
        async with asyncio.timeout(MOST_S):
            await asyncio.wait((serving, started), return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                await serving  # it failed to start: its error is the answer
            await _play(started.result(), timeline)
    except TimeoutError:
        timeline.note(f"{MOST_S:.0f} seconds are over")
    finally:
        await _stop(serving)


async def _play(gateway: "Running", timeline: "Timeline") -> None:
    import httpx

    from relay.cli.story import Story

    timeline.note(f"gateway on {gateway.url}, sandbox provider on {gateway.sandbox_url}")
    headers = {"authorization": f"Bearer {await _admin_key(gateway)}"}
    async with (
        httpx.AsyncClient(base_url=gateway.url, headers=headers, trust_env=False) as client,
        httpx.AsyncClient(base_url=gateway.sandbox_url or "", trust_env=False) as sandbox,
    ):
        try:
            await Story(timeline, client, sandbox).tell()
        except httpx.HTTPStatusError as exc:
            refused = exc.response
            timeline.note(f"{exc.request.method} {exc.request.url.path} was answered {refused.status_code}")
            timeline.note(refused.text[:500])


async def _admin_key(gateway: "Running") -> str:
    from relay.cli.keys import issue
    from relay.services.requests import KeyRequest

    _, secret = await issue(gateway.services.keys_admin, KeyRequest(team_id=None, scopes=["admin"], name="relay demo"))
    return secret


async def _stop(serving: "asyncio.Task[int]") -> None:
    serving.cancel()
    await asyncio.wait((serving,), timeout=STOP_S)
