"""``relay suppressions``: numbers that get no marketing from a team."""

from typing import IO, TYPE_CHECKING, Final

import click
import msgspec

from relay.cli import exits
from relay.cli.administering import each, keeping

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.cli.number_files import Line
    from relay.config import Settings
    from relay.domain.suppressions import SuppressionView

_PAGE: Final = 200
_TEAM = click.option("--team", "team_id", metavar="TEAM_ID", required=True, help="The team whose marketing it is.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a file that holds no number."""

    line: int
    to: str
    reason: str


class Summary(msgspec.Struct, kw_only=True):
    """What became of the lines of a file."""

    added: int = 0
    already: int = 0
    refused: list[Refused] = msgspec.field(default_factory=list)


@click.group(epilog=exits.HELP)
def suppressions() -> None:
    """Numbers that get no marketing (opt-outs).

    Whoever answers a message with an opt-out word is added by itself; see opt_out_keywords in the manual.
    """


@suppressions.command("list", epilog=exits.HELP)
@click.option("--team", "team_id", metavar="TEAM_ID", help="Only of this team.")
@click.option("--number", help="Only this number, in any way of writing it.")
@_JSON
def list_(team_id: str | None, number: str | None, as_json: bool) -> None:
    """List opt-outs, newest first."""
    from relay.cli import output, running

    settings = running.settings()
    running.log_as(settings)
    mobile = None if number is None else _mobile(number)
    views = running.run(_list(settings, _team(team_id), mobile))
    if as_json:
        output.json_line(views)
    else:
        output.table(views, ("id", "team_id", "number", "source", "keyword", "created_at"))


@suppressions.command(epilog=exits.HELP)
@click.argument("number")
@_TEAM
@_JSON
def add(number: str, team_id: str, as_json: bool) -> None:
    """Send no more marketing of a team to NUMBER. A number that was there already stays as it is."""
    from relay.cli import output, running

    _mobile(number)
    settings = running.settings()
    running.log_as(settings)
    view, is_new = running.run(_add(settings, _team(team_id) or "", number))
    if as_json:
        output.json_line(view)
    else:
        output.card(view)
    if not is_new:
        click.echo("It was there already.", err=True)


@suppressions.command(epilog=exits.HELP)
@click.argument("number_or_id")
@click.option("--team", "team_id", metavar="TEAM_ID", help="Whose opt-out it is; a number needs it, an id does not.")
def remove(number_or_id: str, team_id: str | None) -> None:
    """Send marketing to a number again: NUMBER_OR_ID of a team."""
    from relay.cli import running
    from relay.domain.ids import PREFIXES, is_id

    by_id = is_id(number_or_id, PREFIXES["suppression"])
    if not by_id:
        _mobile(number_or_id)
        if team_id is None:
            raise click.UsageError("--team TEAM_ID: say whose marketing it may get again")
    settings = running.settings()
    running.log_as(settings)
    running.run(_remove(settings, number_or_id, _team(team_id), by_id=by_id))


@suppressions.command("import", short_help="Add the numbers of a file.", epilog=exits.HELP)
@click.argument("file", type=click.File("rb"))
@_TEAM
@click.option("--json", "as_json", is_flag=True, help='Print {"added", "already", "refused": [{"line", "to", …}]}.')
@click.pass_context
def import_(ctx: click.Context, file: IO[bytes], team_id: str, as_json: bool) -> None:
    """Add the numbers of FILE ("-": standard input).

    One number per line, or CSV: then the column whose head is number, mobile, phone, to, 手机号 or 电话, else the
    first one. Each 10,000 numbers are one transaction and one entry of the audit; to run it again adds nothing twice.
    Lines that hold no number are told, the others are added, and the exit code is 1.
    """
    from relay.cli import output, running
    from relay.cli.number_files import NotNumbers, read_numbers

    team = _team(team_id) or ""
    try:
        lines = read_numbers(file.read())
    except NotNumbers as exc:
        raise click.UsageError(f"{file.name}: {exc}") from exc
    settings = running.settings()
    running.log_as(settings)
    done = running.run(_import(settings, team, lines))
    if as_json:
        output.json_line(done)
    else:
        click.echo(f"added {done.added}, already there {done.already}, refused {len(done.refused)}")
        for refused in done.refused:
            click.echo(f"line {refused.line}: {output.cell(refused.to)}: {refused.reason}", err=True)
    if done.refused:
        ctx.exit(exits.FAILED)


def _mobile(number: str) -> int:
    from relay.domain.numbers import read_mobile

    mobile = read_mobile(number)
    if mobile is None:
        raise click.UsageError("a mobile number reads 13800130001, with or without +86")
    return mobile


def _team(team_id: str | None) -> str | None:
    from relay.domain.ids import PREFIXES, is_id

    if team_id is not None and not is_id(team_id, PREFIXES["team"]):
        raise click.UsageError("--team: a team's id reads team_ and 32 hex digits")
    return team_id


async def _list(settings: "Settings", team_id: str | None, mobile: int | None) -> "list[SuppressionView]":
    from relay import app
    from relay.domain.suppressions import view_of

    async with app.open_store(settings) as store:
        pages = each(
            lambda position: store.suppressions(team_id=team_id, mobile=mobile, position=position, limit=_PAGE)
        )
        return [view_of(one) async for one in pages]


async def _add(settings: "Settings", team_id: str, number: str) -> "tuple[SuppressionView, bool]":
    from relay import app
    from relay.domain.audit import COMMAND
    from relay.domain.ids import TeamId
    from relay.ports import Replay

    shown: list[SuppressionView] = []
    async with app.open_admin(settings) as admin:
        added = await admin.suppressions.add(TeamId(team_id), number, COMMAND, None, keeping(shown), source="cli")
    if isinstance(added, Replay):
        raise TypeError("a command has no key, so there is nothing to replay")
    return shown[-1], added.is_new


async def _remove(settings: "Settings", number_or_id: str, team_id: str | None, *, by_id: bool) -> None:
    from relay import app
    from relay.domain.audit import COMMAND
    from relay.domain.errors import NotFound
    from relay.domain.ids import TeamId

    own = None if team_id is None else TeamId(team_id)
    async with app.open_admin(settings) as admin:
        suppression_id = number_or_id
        if not by_id and own is not None:
            found = await admin.store.suppression_of(own, _mobile(number_or_id))
            if found is None:
                raise NotFound("This number has not opted out of the team's marketing.")
            suppression_id = found.id
        await admin.suppressions.remove(suppression_id, COMMAND, team_id=own)


async def _import(settings: "Settings", team_id: str, lines: "list[Line]") -> Summary:
    from relay import app
    from relay.cli import output
    from relay.domain.audit import COMMAND
    from relay.domain.ids import TeamId
    from relay.domain.suppressions import ImportedSuppressions
    from relay.services.admin.suppressions import MOST_AT_ONCE

    done = Summary()
    async with app.open_admin(settings) as admin:
        with output.progress("Importing", length=len(lines)) as bar:
            for start in range(0, len(lines), MOST_AT_ONCE):
                batch = lines[start : start + MOST_AT_ONCE]
                answer = await admin.suppressions.add_all(
                    TeamId(team_id), [line.number for line in batch], COMMAND, None, msgspec.json.encode
                )
                counts = msgspec.json.decode(answer if isinstance(answer, bytes) else b"", type=ImportedSuppressions)
                done.added += counts.added
                done.already += counts.already
                done.refused += [
                    Refused(line=line.at, to=line.number, reason="malformed") for line in batch if line.mobile is None
                ]
                bar.update(len(batch))
    return done
