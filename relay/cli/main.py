"""The command ``relay``: its subcommands, and how their errors end."""

from typing import Any

import click

from relay import __version__
from relay.cli import exits
from relay.cli.accounts import accounts
from relay.cli.audit import audit
from relay.cli.demo import demo
from relay.cli.dev import dev
from relay.cli.doctor import doctor
from relay.cli.erase import erase
from relay.cli.extensions import extensions
from relay.cli.keyring import keyring
from relay.cli.keys import keys
from relay.cli.openapi import openapi
from relay.cli.orphans import orphans
from relay.cli.quarantine import quarantine
from relay.cli.sandbox import sandbox
from relay.cli.serve import migrate, serve
from relay.cli.suppressions import suppressions
from relay.cli.teams import teams
from relay.domain.errors import RelayError


class Commands(click.Group):
    """A group whose commands may raise RelayError: it ends as one line on standard error and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Runs the chosen command."""
        try:
            return super().invoke(ctx)
        except RelayError as error:
            code, line = exits.explain(error)
            click.echo(line, err=True)
            ctx.exit(code)


@click.group(cls=Commands, epilog=exits.HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="relay %(version)s")
def relay() -> None:
    """The gateway that teams use to send and receive SMS.

    Settings come from the environment (RELAY_PORT, RELAY_DATA_DIR, …); the manual is relay/defaults.toml.
    """


for _command in (
    serve,
    migrate,
    sandbox,
    accounts,
    teams,
    extensions,
    keys,
    keyring,
    suppressions,
    orphans,
    quarantine,
    audit,
    erase,
    openapi,
    doctor,
    dev,
    demo,
):
    relay.add_command(_command)
