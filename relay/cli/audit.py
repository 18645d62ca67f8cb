"""``relay audit``: who did what."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from relay.cli import exits
from relay.cli.administering import json_option, print_things, with_admin
from relay.cli.options import Moment
from relay.domain.audit import AuditAction, AuditFamily

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.domain.audit import AuditFilter

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
        click.option("--since", "since_ms", metavar="TIME", type=Moment(), help="From this time on."),
        click.option("--until", "before_ms", metavar="TIME", type=Moment(), help="Before this time."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@audit.command("list", epilog=exits.HELP)
@_filtered
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="So many entries.")
@json_option("one JSON list")
def list_entries(limit: int, as_json: bool, **filters: Any) -> None:  # noqa: ANN401 - the options above
    """List the newest entries."""
    page = with_admin(lambda admin: admin.store.audit(_filter(**filters), position=None, limit=limit))
    print_things(page.data, _COLUMNS, as_json=as_json)


@audit.command(epilog=exits.HELP)
@_filtered
def export(**filters: Any) -> None:  # noqa: ANN401 - the options above
    """Print all entries as JSON Lines, oldest first.

    One JSON object for each entry, for example: relay audit export --since 2027-01-01T00:00:00Z > audit.jsonl
    """
    with_admin(lambda admin: _export(admin, _filter(**filters)))


def _filter(*, since_ms: int | None, **others: Any) -> "AuditFilter":  # noqa: ANN401 - the options above
    """From `since` on, so that the export of one day and that of the next hold every entry once."""
    from relay.domain.audit import AuditFilter

    return AuditFilter(after_ms=None if since_ms is None else since_ms - 1, **others)


async def _export(admin: "Admin", filters: "AuditFilter") -> None:
    import msgspec

    lines = msgspec.json.Encoder()
    position: str | None = None
    while True:
        page = await admin.store.audit_from(filters, position=position, limit=_EXPORT_PAGE)
        click.echo(lines.encode_lines(page.data), nl=False)
        position = page.next_position
        if position is None:
            return
