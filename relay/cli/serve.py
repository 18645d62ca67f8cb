"""``relay serve`` and ``relay migrate``."""

import click

from relay.cli import exits


@click.command(short_help="Run the gateway.", epilog=exits.HELP)
@click.pass_context
def serve(ctx: click.Context) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    An embedded SQLite database is migrated at the start; PostgreSQL only by `relay migrate`.
    """
    from relay.cli import running

    settings = running.settings()
    running.log_as(settings)
    # Last, for it takes the longest: a wrong setting is told at once.
    from relay import app

    ctx.exit(running.run(app.serve(settings)))


@click.command(short_help="Bring the database to this release.", epilog=exits.HELP)
@click.option("--json", "as_json", is_flag=True, help='Print {"revision": …}.')
def migrate(as_json: bool) -> None:
    """Bring the database to this release's schema; prints the revision that it has then.

    One that a later release has migrated stays as it is: this release serves from it, too.
    """
    from relay.cli import running

    settings = running.settings()
    running.log_as(settings)
    # Last, for it takes the longest: a wrong setting is told at once.
    from relay import app

    revision = app.migrate(settings)
    if as_json:
        import json

        click.echo(json.dumps({"revision": revision}))
    else:
        click.echo(f"The database is at revision {revision}.")
