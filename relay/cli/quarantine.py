"""``relay quarantine``: bodies of the provider that were set aside."""

from typing import TYPE_CHECKING, Final, get_args

import click

from relay.cli import exits
from relay.cli.administering import (
    PAGE,
    account_if_named,
    account_option,
    all_pages,
    json_option,
    print_answer,
    print_thing,
    print_things,
    with_admin,
)
from relay.cli.options import Id
from relay.domain.provider import BodyKind

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app.admin import Admin
    from relay.domain.orphans import QuarantineReprocessed, QuarantineView
    from relay.ports import SetAside

_COLUMNS: Final = ("id", "account_id", "kind", "source", "received_at", "size_bytes", "content_type", "why")
_OUTCOME: Final = ("id", "state", "rows", "already_applied", "unreadable", "why")


@click.group(epilog=exits.HELP)
def quarantine() -> None:
    """Bodies of the provider that could not be read.

    ACCOUNT is an id or a name.
    """


@quarantine.command("list", epilog=exits.HELP)
@click.option("--kind", type=click.Choice(get_args(BodyKind)), help="report, or mo: inbound messages.")
@account_option("Those of this account.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="So many of them.")
@json_option("one JSON list")
def list_bodies(kind: BodyKind | None, account: str | None, limit: int, as_json: bool) -> None:
    """List bodies in quarantine, newest first."""

    async def work(admin: "Admin") -> "list[QuarantineView]":
        account_id = await account_if_named(admin, account)
        return (await admin.store.quarantined(kind=kind, account_id=account_id, position=None, limit=limit)).data

    print_things(with_admin(work), _COLUMNS, as_json=as_json)


@quarantine.command(epilog=exits.HELP)
@click.argument("raw_id", type=Id("raw"))
@click.option("--bytes", "as_bytes", is_flag=True, help="Print the bytes as they came, and nothing else.")
@json_option("the body")
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
@json_option("what became of it; of all, one JSON list")
@click.pass_context
def reprocess(ctx: click.Context, raw_id: str | None, every: bool, as_json: bool) -> None:
    """Read one body, or all of them, with the code of this release.

    What was applied when it came is not applied again. The exit code is 1 when something stays in quarantine.
    """
    if every == (raw_id is not None):
        raise click.UsageError("give a RAW_ID, or --all")
    if raw_id is not None:
        outcomes, left = [with_admin(lambda admin: _reprocess(admin, raw_id))], 0
        print_thing(outcomes[0], as_json=as_json)
    else:
        outcomes, left = with_admin(_reprocess_all)
        print_things(outcomes, _OUTCOME, as_json=as_json)
    if left or any(outcome.state == "quarantined" for outcome in outcomes):
        ctx.exit(exits.FAILED)


@quarantine.command(epilog=exits.HELP)
@click.argument("raw_id", type=Id("raw"))
@json_option("the body")
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


async def _reprocess_all(admin: "Admin") -> "tuple[list[QuarantineReprocessed], int]":
    """What became of each, and how many must stay as they are; why is told."""
    from relay.cli import output
    from relay.domain.errors import AlreadySettled, NotFound

    views = await all_pages(
        lambda position: admin.store.quarantined(kind=None, account_id=None, position=position, limit=PAGE)
    )
    outcomes: list[QuarantineReprocessed] = []
    refused: dict[str, AlreadySettled] = {}
    # Oldest first, as they came.
    with output.progress("reprocessing", items=[view.id for view in reversed(views)]) as bar:
        for raw_id in bar:
            try:
                outcomes.append(await _reprocess(admin, raw_id))
            except NotFound:
                continue  # it was too old
            except AlreadySettled as error:
                # Unless somebody was faster.
                if (await _find(admin, raw_id)).view.state == "quarantined":
                    refused[raw_id] = error
    for raw_id, refusal in refused.items():
        click.echo(f"{raw_id} stays: {refusal}", err=True)
    return outcomes, len(refused)


async def _reprocess(admin: "Admin", raw_id: str) -> "QuarantineReprocessed":
    from relay.domain.audit import COMMAND

    outcomes: list[QuarantineReprocessed] = []

    def keep(outcome: "QuarantineReprocessed") -> bytes:
        outcomes.append(outcome)
        return b""

    await admin.quarantine.reprocess(raw_id, COMMAND, None, keep)
    return outcomes[-1]
