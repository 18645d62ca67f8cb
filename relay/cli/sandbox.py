"""``relay sandbox``: the provider's simulation as a server of its own."""

import click

from relay.cli import exits
from relay.domain.errors import RelayError


class AddressTaken(RelayError):
    """The address cannot be listened on."""


@click.command(short_help="The provider's API as a server of its own.", epilog=exits.HELP)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8081, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option(
    "--report-delay-ms",
    default=50,
    show_default=True,
    type=click.IntRange(0, 600_000),
    help="How long after a send its report comes.",
)
@click.option("--json", "as_json", is_flag=True, help='Print {"url": …} when it listens.')
def sandbox(host: str, port: int, report_delay_ms: int, as_json: bool) -> None:
    """Run the provider's API with made-up deliveries, until Ctrl-C.

    Account "sandbox", password "sandbox-password". The last four digits of a number decide its fate: 0001 delivered,
    0002 undeliverable, 0003 expired, 0004 no report, 0005 no answer, 0006 blacklisted, 0007 report before the answer,
    0008 report twice; every other is delivered. Its control plane under /control/ answers loopback clients only.
    """
    import json

    from relay.cli import running
    from relay.provider.sandbox import Sandbox, SandboxSettings, serve

    def started(url: str) -> None:
        click.echo(json.dumps({"url": url}) if as_json else f"The sandbox provider listens on {url}; Ctrl-C ends it.")

    provider = Sandbox(SandboxSettings(report_delay_ms=report_delay_ms))
    try:
        running.run(serve(host, port, sandbox=provider, started=started))
    except OSError as exc:
        raise AddressTaken(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
