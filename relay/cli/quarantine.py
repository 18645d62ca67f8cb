"""``relay quarantine``: bodies of the provider that were set aside."""

import contextlib
from typing import TYPE_CHECKING, Final, get_args

import click

from relay.cli import exits
from relay.cli.administering import print_answer, print_thing, with_admin
from relay.cli.options import Id
from relay.domain.provider import BodyKind

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app.admin import Admin
    from relay.domain.orphans import QuarantineReprocessed
    from relay.ports import SetAside

_COLUMNS: Final = ("id", "account_id", "kind", "source", "received_at", "size_bytes", "content_type", "why")
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(epilog=exits.HELP)
def quarantine() -> None:
    """Bodies of the provider that could not be read."""


@quarantine.command("list", epilog=exits.HELP)
@click.option("--kind", type=click.Choice(get_args(BodyKind)), help="report, or mo: inbound messages.")
@click.option(
    "--account", "account_id", metavar="ACCOUNT_ID", type=Id("account"), help="Those of this provider account."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="So many of them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_bodies(kind: BodyKind | None, account_id: str | None, limit: int, as_json: bool) -> None:
    """List bodies in quarantine, newest first."""
    from relay.cli import output

    page = with_admin(
        lambda admin: admin.store.quarantined(kind=kind, account_id=account_id, position=None, limit=limit)
    )
    if as_json:
        output.json_line(page.data)
    else:
        output.table(page.data, _COLUMNS)


@quarantine.command(epilog=exits.HELP)
@click.argument("raw_id", type=Id("raw"))
@click.option("--bytes", "as_bytes", is_flag=True, help="Print the bytes as they came, and nothing else.")
@_JSON
def show(raw_id: str, as_bytes: bool, as_json: bool) -> None:
    """Show one body with what came, numbers and texts included."""
    from relay.services.admin.quarantine import with_bytes

    found = with_admin(lambda admin: _find(admin, raw_id))
    if as_bytes:
        click.echo(found.item.raw.body, nl=False)
    else:
        print_thing(with_bytes(found), as_json=as_json)


@quarantine.command(epilog=exits.HELP)
@click.argument("raw_id", type=Id("raw"), required=False)
@click.option("--all", "every", is_flag=True, help="All that are in quarantine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what became of it; of all, one JSON list.")
@click.pass_context
def reprocess(ctx: click.Context, raw_id: str | None, every: bool, as_json: bool) -> None:
    """Read one body, or all of them, with the code of this release.

    What was applied when it came is not applied again. The exit code is 1 when something still cannot be read.
    """
    from relay.cli import output

    if every == (raw_id is not None):
        raise click.UsageError("give a RAW_ID, or --all")
    if raw_id is not None:
        outcomes = [with_admin(lambda admin: _reprocess(admin, raw_id))]
        print_thing(outcomes[0], as_json=as_json)
    else:
        outcomes = with_admin(_reprocess_all)
        if as_json:
            output.json_line(outcomes)
        else:
            output.table(outcomes, ("id", "state", "rows", "already_applied", "unreadable", "why"))
    if any(outcome.state == "quarantined" for outcome in outcomes):
        ctx.exit(exits.FAILED)


@quarantine.command(epilog=exits.HELP)
@click.argument("raw_id", type=Id("raw"))
@_JSON
def dismiss(raw_id: str, as_json: bool) -> None:
    """Say that nobody needs a body. Its bytes are kept as long as those of bodies that were applied."""
    import msgspec

    from relay.domain.audit import COMMAND
    from relay.domain.orphans import QuarantineView

    answer = with_admin(lambda admin: admin.quarantine.dismiss(raw_id, COMMAND, None, msgspec.json.encode))
    print_answer(answer, QuarantineView, as_json=as_json)


async def _find(admin: "Admin", raw_id: str) -> "SetAside":
    from relay.domain.errors import NotFound

    found = await admin.store.set_aside(raw_id)
    if found is None:
        raise NotFound("There is no such body.")
    return found


async def _reprocess_all(admin: "Admin") -> "list[QuarantineReprocessed]":
    from relay.cli import output
    from relay.domain.errors import AlreadySettled, NotFound

    ids: list[str] = []
    position: str | None = None
    more = True
    while more:
        page = await admin.store.quarantined(kind=None, account_id=None, position=position, limit=200)
        ids += [view.id for view in page.data]
        position, more = page.next_position, page.next_position is not None
    outcomes: list[QuarantineReprocessed] = []
    # Oldest first, as they came.
    with output.progress("bodies", items=ids[::-1]) as bar:
        for raw_id in bar:
            # Somebody may have been faster.
            with contextlib.suppress(AlreadySettled, NotFound):
                outcomes.append(await _reprocess(admin, raw_id))
    return outcomes


async def _reprocess(admin: "Admin", raw_id: str) -> "QuarantineReprocessed":
    from relay.domain.audit import COMMAND

    outcomes: list[QuarantineReprocessed] = []

    def keep(outcome: "QuarantineReprocessed") -> bytes:
        outcomes.append(outcome)
        return b""

    await admin.quarantine.reprocess(raw_id, COMMAND, None, keep)
    return outcomes[-1]
