"""``relay erase``: every trace of one number goes, for whoever asks to be forgotten."""

from typing import TYPE_CHECKING

import click

from relay.cli import exits
from relay.cli.administering import json_option, keeping, with_admin

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.domain.erasure import ErasureStage, ErasureView


@click.command(short_help="Erase a number wherever it stands.", epilog=exits.HELP)
@click.option("--number", required=True, help="A mainland mobile number, in any way of writing it.")
@click.option("--yes", is_flag=True, help="Do not ask: it cannot be undone.")
@json_option('{"id", "number_ends_in", "erased", "left_open", "complete"}')
@click.pass_context
def erase(ctx: click.Context, number: str, yes: bool, as_json: bool) -> None:
    """Erase a number wherever it stands.

    In messages, recipients, reports, inbound messages, events and raw bodies. An opt-out stays, or the number would be
    written to again (see `relay suppressions`). Works beside a running gateway, and is written into the audit. What is
    not final yet is left: then the exit code is 1, and the command is to be repeated when it has become final, which
    takes days at most but for scheduled messages.
    """
    from relay.cli import output
    from relay.domain.numbers import last_two, read_mobile

    mobile = read_mobile(number)
    if mobile is None:
        raise click.UsageError("--number: a mobile number reads 13800130001, with or without +86")
    if not yes:
        question = f"Erase every trace of the number ending in {last_two(mobile)}? This cannot be undone."
        click.confirm(question, abort=True, err=True)
    done = with_admin(lambda admin: _erase(admin, mobile))
    if as_json:
        output.json_line(done)
    else:
        _tell(done)
    if not done.complete:
        click.echo(f"Not final yet, left as they are: {_counts(done.left_open)}. Repeat the command later.", err=True)
        ctx.exit(exits.FAILED)


def _tell(done: "ErasureView") -> None:
    if done.erased:
        click.echo(f"Erased: {_counts(done.erased)}.")
    elif done.complete:
        click.echo("There is no trace of this number.")


def _counts(counts: "dict[ErasureStage, int]") -> str:
    return ", ".join(f"{stage.replace('_', ' ')} {number}" for stage, number in counts.items())


async def _erase(admin: "Admin", mobile: int) -> "ErasureView":
    from relay.cli import output
    from relay.domain.audit import COMMAND
    from relay.domain.erasure import ERASURE_STAGES

    made: list[ErasureView] = []

    with output.progress("erasing", length=len(ERASURE_STAGES)) as bar:

        def watch(stage: "ErasureStage", erased: int) -> None:
            bar.update(ERASURE_STAGES.index(stage) - bar.pos, _counts({stage: erased}))

        await admin.erase.number(mobile, COMMAND, None, keeping(made), watch=watch)
        bar.update(len(ERASURE_STAGES) - bar.pos, "")
    return made[0]
