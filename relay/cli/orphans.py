"""``relay orphans``: what matched nobody."""

from typing import TYPE_CHECKING, Final, get_args

import click

from relay.cli import exits
from relay.cli.administering import (
    account_if_named,
    account_option,
    json_option,
    print_answer,
    print_thing,
    print_things,
    team_if_named,
    team_option,
    with_admin,
)
from relay.cli.options import Id
from relay.domain.orphans import OrphanStatus
from relay.domain.provider import BodyKind

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app.admin import Admin
    from relay.domain.orphans import OrphanView
    from relay.services.admin.orphans import OrphanTally

_COLUMNS: Final = (
    "id",
    "kind",
    "status",
    "number",
    "text",
    "to_extension",
    "task_id",
    "provider_status",
    "received_at",
)
_KIND: Final = click.option("--kind", type=click.Choice(get_args(BodyKind)), help="report, or mo: inbound messages.")
_ACCOUNT: Final = account_option("Those of this account.")


@click.group(epilog=exits.HELP)
def orphans() -> None:
    """Reports and inbound messages that matched nobody.

    TEAM and ACCOUNT are ids or names.
    """


@orphans.command("list", epilog=exits.HELP)
@_KIND
@_ACCOUNT
@click.option("--status", type=click.Choice(get_args(OrphanStatus)), default="open", show_default=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="So many of them.")
@json_option("one JSON list")
def list_orphans(kind: BodyKind | None, account: str | None, status: OrphanStatus, limit: int, as_json: bool) -> None:
    """List orphans, newest first. Numbers and texts are shown."""

    async def work(admin: "Admin") -> "list[OrphanView]":
        account_id = await account_if_named(admin, account)
        page = await admin.store.orphans(kind=kind, account_id=account_id, status=status, position=None, limit=limit)
        return page.data

    print_things(with_admin(work), _COLUMNS, as_json=as_json)


@orphans.command(epilog=exits.HELP)
@click.argument("orphan_id", type=Id("orphan"))
@json_option("the orphan")
def show(orphan_id: str, as_json: bool) -> None:
    """Show one orphan."""
    print_thing(with_admin(lambda admin: _show(admin, orphan_id)), as_json=as_json)


@orphans.command(epilog=exits.HELP)
@click.argument("orphan_id", type=Id("orphan"))
@team_option("For an inbound message.")
@click.option("--message", "message_id", metavar="MESSAGE_ID", type=Id("message"), help="For a report.")
@click.option("--submission", "submission_id", metavar="SUBMISSION_ID", type=Id("submission"), help="For a report.")
@json_option("the orphan")
def assign(orphan_id: str, team: str | None, message_id: str | None, submission_id: str | None, as_json: bool) -> None:
    """Say whose an orphan is, once.

    An inbound message becomes one of the team, which is told of it. A report is applied to the recipient of its number.
    """
    from relay.domain.audit import COMMAND
    from relay.domain.ids import MessageId, SubmissionId
    from relay.domain.orphans import OrphanView
    from relay.services.requests import OrphanAssignment

    if [team, message_id, submission_id].count(None) != 2:
        raise click.UsageError("give one of --team, --message and --submission")

    async def work(admin: "Admin") -> object:
        request = OrphanAssignment(
            team_id=await team_if_named(admin, team),
            message_id=None if message_id is None else MessageId(message_id),
            submission_id=None if submission_id is None else SubmissionId(submission_id),
        )
        return await admin.orphans.assign(orphan_id, request, COMMAND, None, _encode)

    print_answer(with_admin(work), OrphanView, as_json=as_json)


@orphans.command(epilog=exits.HELP)
@click.argument("orphan_id", type=Id("orphan"))
@json_option("the orphan")
def dismiss(orphan_id: str, as_json: bool) -> None:
    """Say that an orphan is nobody's. It stays in the list of those that are resolved."""
    from relay.domain.audit import COMMAND
    from relay.domain.orphans import OrphanView

    answer = with_admin(lambda admin: admin.orphans.dismiss(orphan_id, COMMAND, None, _encode))
    print_answer(answer, OrphanView, as_json=as_json)


@orphans.command(epilog=exits.HELP)
@click.argument("orphan_id", type=Id("orphan"), required=False)
@click.option("--all", "every", is_flag=True, help="All that are open.")
@_KIND
@_ACCOUNT
@json_option('{"matched", "orphan"}; of all, {"examined", "matched"}')
@click.pass_context
def reprocess(
    ctx: click.Context, orphan_id: str | None, every: bool, kind: BodyKind | None, account: str | None, as_json: bool
) -> None:
    """Match one orphan, or all open ones, by the usual rules again.

    For when an extension was leased, or an account repaired, after they came. The exit code is 1 when the one that was
    named still matches nobody.
    """
    from relay.cli import output
    from relay.domain.audit import COMMAND
    from relay.domain.orphans import OrphanReprocessed

    if every == (orphan_id is not None):
        raise click.UsageError("give an ORPHAN_ID, or --all")
    if orphan_id is None:
        examined, matched = with_admin(lambda admin: _reprocess_all(admin, kind, account))
        if as_json:
            output.json_line({"examined": examined, "matched": matched})
        else:
            click.echo(f"Matched {matched} of {examined}.")
        return
    outcomes: list[OrphanReprocessed] = []

    def keep(outcome: OrphanReprocessed) -> bytes:
        outcomes.append(outcome)
        return _encode(outcome)

    with_admin(lambda admin: admin.orphans.reprocess(orphan_id, COMMAND, None, keep))
    outcome = outcomes[-1]
    print_thing(outcome if as_json else outcome.orphan, as_json=as_json)
    if not outcome.matched:
        click.echo("It still matches nobody.", err=True)
        ctx.exit(exits.FAILED)


def _encode(thing: object) -> bytes:
    import msgspec

    return msgspec.json.encode(thing)


async def _show(admin: "Admin", orphan_id: str) -> "OrphanView":
    from relay.domain.errors import NotFound

    view = await admin.store.orphan(orphan_id)
    if view is None:
        raise NotFound("There is no such orphan.")
    return view


async def _reprocess_all(admin: "Admin", kind: BodyKind | None, account: str | None) -> tuple[int, int]:
    from relay.cli import output
    from relay.domain.audit import COMMAND
    from relay.services.requests import OrphanBatch

    tallies: list[OrphanTally] = []

    def keep(tally: "OrphanTally") -> bytes:
        tallies.append(tally)
        return b""

    account_id = await account_if_named(admin, account)
    position: str | None = None
    with output.progress("reprocessing", length=await admin.store.open_orphans()) as bar:
        while True:
            batch = OrphanBatch(kind=kind, account_id=account_id, position=position)
            await admin.orphans.reprocess_some(batch, COMMAND, None, keep)
            bar.update(tallies[-1].examined)
            position = tallies[-1].next_position
            if position is None:
                return sum(tally.examined for tally in tallies), sum(tally.matched for tally in tallies)
