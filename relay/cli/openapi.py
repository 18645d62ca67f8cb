"""``relay openapi``: the generated document."""

from pathlib import Path

import click

from relay.cli import exits


@click.command(short_help="Print the OpenAPI document, or compare it.", epilog=exits.HELP)
@click.option(
    "--check",
    "committed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with this file and print nothing; exit code 1 when they differ.",
)
@click.pass_context
def openapi(ctx: click.Context, committed: Path | None) -> None:
    """Print the OpenAPI 3.1 document of the REST API."""
    from relay.api.openapi import document

    generated = document()
    if committed is None:
        click.echo(generated, nl=False)
    elif committed.read_bytes() != generated:
        click.echo(f"relay: {committed} is not what the code says: run `make openapi` and commit it", err=True)
        ctx.exit(exits.FAILED)
