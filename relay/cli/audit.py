"""``relay audit``: who did what."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from relay.cli import exits
from relay.cli.administering import each
from relay.cli.options import Moment
from relay.domain.audit import AuditAction, AuditFamily

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.config import Settings
    from relay.domain.audit import AuditFilter, AuditView

_EXPORT_PAGE: Final = 500
_COLUMNS: Final = ("at", "actor", "action", "target", "detail", "from_address", "request_id")


@click.group(epilog=exits.HELP)
def audit() -> None:
    """Who did what: entries that nobody can change."""


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    options: tuple[Any, ...] = (
        click.option(
            "--action",
            metavar="ACTION",
            type=click.Choice([*get_args(AuditAction), *get_args(AuditFamily)]),
            help='One action, such as key.revoked, or a family, such as "key.*".',
        ),
        click.option("--actor", metavar="WHO", help="The id of a key, cli, or system."),
        click.option("--target", metavar="WHAT", help="What was acted upon, mostly an id."),
        click.option("--since", "after_ms", metavar="TIME", type=Moment(), help="What came after this time."),
        click.option("--until", "before_ms", metavar="TIME", type=Moment(), help="What came before this time."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@audit.command("list", epilog=exits.HELP)
@_filtered
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="So many entries.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_entries(limit: int, as_json: bool, **filters: Any) -> None:  # noqa: ANN401 - the options above
    """Show the newest entries."""
    from relay.cli import output, running
    from relay.domain.audit import AuditFilter

    settings = running.settings()
    running.log_as(settings)
    entries = running.run(_newest(settings, AuditFilter(**filters), limit))
    if as_json:
        output.json_line(entries)
    else:
        output.table(entries, _COLUMNS)


@audit.command(epilog=exits.HELP)
@_filtered
def export(**filters: Any) -> None:  # noqa: ANN401 - the options above
    """Print all entries as JSON Lines, oldest first.

    One JSON object for each entry, for example: relay audit export --since 2027-01-01T00:00:00Z > audit.jsonl
    """
    from relay.cli import running
    from relay.domain.audit import AuditFilter

    settings = running.settings()
    running.log_as(settings)
    running.run(_export(settings, AuditFilter(**filters)))


async def _newest(settings: "Settings", filters: "AuditFilter", limit: int) -> "list[AuditView]":
    from relay import app

    async with app.open_store(settings) as store:
        return (await store.audit(filters, position=None, limit=limit)).data


async def _export(settings: "Settings", filters: "AuditFilter") -> None:
    from relay import app
    from relay.cli import output

    async with app.open_store(settings) as store:
        async for entry in each(lambda position: store.audit_from(filters, position=position, limit=_EXPORT_PAGE)):
            output.json_line(entry)
