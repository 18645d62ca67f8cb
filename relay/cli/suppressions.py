"""``relay suppressions``: numbers that get no marketing from a team."""

from typing import IO, TYPE_CHECKING, Final

import click
import msgspec

from relay.cli import exits
from relay.cli.administering import (
    PAGE,
    all_pages,
    find_team,
    json_option,
    keeping,
    print_done,
    print_thing,
    print_things,
    team_if_named,
    team_option,
    with_admin,
)

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.cli.number_files import Line
    from relay.domain.suppressions import SuppressionView

_COLUMNS: Final = ("id", "team_id", "number", "source", "keyword", "created_at")
_TEAM: Final = team_option("The team whose marketing it is.", required=True)


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

    TEAM is an id or a name. Whoever answers a message with an opt-out word is added by itself; see opt_out_keywords in
    the manual.
    """


@suppressions.command("list", epilog=exits.HELP)
@team_option("Those of this team.")
@click.option("--number", help="This number only, in any way of writing it.")
@json_option("one JSON list")
def list_(team: str | None, number: str | None, as_json: bool) -> None:
    """List opt-outs, newest first."""
    from relay.domain.suppressions import view_of

    mobile = None if number is None else _mobile(number)

    async def work(admin: "Admin") -> "list[SuppressionView]":
        team_id = await team_if_named(admin, team)
        found = await all_pages(
            lambda position: admin.store.suppressions(team_id=team_id, mobile=mobile, position=position, limit=PAGE)
        )
        return [view_of(suppression) for suppression in found]

    print_things(with_admin(work), _COLUMNS, as_json=as_json)


@suppressions.command(epilog=exits.HELP)
@click.argument("number")
@_TEAM
@json_option("the opt-out")
def add(number: str, team: str, as_json: bool) -> None:
    """Send no more marketing of a team to NUMBER. A number that was there already stays as it is."""
    from relay.domain.audit import COMMAND
    from relay.ports import Replay

    _mobile(number)
    shown: list[SuppressionView] = []

    async def work(admin: "Admin") -> bool:
        team_id = await find_team(admin, team)
        added = await admin.suppressions.add(team_id, number, COMMAND, None, keeping(shown), source="cli")
        if isinstance(added, Replay):
            raise TypeError("a command has no key, so there is nothing to replay")
        return added.is_new

    is_new = with_admin(work)
    print_thing(shown[-1], as_json=as_json)
    if not is_new:
        click.echo("It was there already.", err=True)


@suppressions.command(epilog=exits.HELP)
@click.argument("number_or_id")
@team_option("Whose opt-out it is; a number needs it, an id does not.")
@json_option('{"id": …, "removed": true}')
def remove(number_or_id: str, team: str | None, as_json: bool) -> None:
    """Send marketing to a number again: NUMBER_OR_ID of a team."""
    from relay.domain.audit import COMMAND
    from relay.domain.errors import NotFound
    from relay.domain.ids import PREFIXES, is_id

    mobile = None if is_id(number_or_id, PREFIXES["suppression"]) else _mobile(number_or_id)
    if mobile is not None and team is None:
        raise click.UsageError("--team TEAM: say whose marketing it may get again")

    async def work(admin: "Admin") -> str:
        team_id, suppression_id = await team_if_named(admin, team), number_or_id
        if mobile is not None and team_id is not None:
            found = await admin.store.suppression_of(team_id, mobile)
            if found is None:
                raise NotFound("This number has not opted out of the team's marketing.")
            suppression_id = found.id
        await admin.suppressions.remove(suppression_id, COMMAND, team_id=team_id)
        return suppression_id

    suppression_id = with_admin(work)
    print_done(f"Removed {suppression_id}.", as_json=as_json, id=suppression_id, removed=True)


@suppressions.command("import", short_help="Add the numbers of a file.", epilog=exits.HELP)
@click.argument("file", type=click.File("rb"))
@_TEAM
@json_option('{"added", "already", "refused": [{"line", "to", …}]}')
@click.pass_context
def import_(ctx: click.Context, file: IO[bytes], team: str, as_json: bool) -> None:
    """Add the numbers of FILE ("-": standard input).

    One number per line, or CSV: then the column whose head is number, mobile, phone, to, 手机号 or 电话, else the
    first one. Each 10,000 numbers are one transaction and one entry of the audit; to run it again adds nothing twice.
    Lines that hold no number are told, the others are added, and the exit code is 1.
    """
    from relay.cli import output
    from relay.cli.number_files import NotNumbers, read_numbers

    try:
        lines = read_numbers(file.read())
    except NotNumbers as exc:
        raise click.UsageError(f"{file.name}: {exc}") from exc
    done = with_admin(lambda admin: _import(admin, team, lines))
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


async def _import(admin: "Admin", team: str, lines: "list[Line]") -> Summary:
    from relay.cli import output
    from relay.domain.audit import COMMAND
    from relay.domain.suppressions import ImportedSuppressions
    from relay.services.admin.suppressions import MOST_AT_ONCE

    team_id, done = await find_team(admin, team), Summary()
    with output.progress("importing", length=len(lines)) as bar:
        for start in range(0, len(lines), MOST_AT_ONCE):
            batch = lines[start : start + MOST_AT_ONCE]
            answer = await admin.suppressions.add_all(
                team_id, [line.number for line in batch], COMMAND, None, msgspec.json.encode
            )
            counts = msgspec.json.decode(answer if isinstance(answer, bytes) else b"", type=ImportedSuppressions)
            done.added += counts.added
            done.already += counts.already
            done.refused += [
                Refused(line=line.at, to=line.number, reason="malformed") for line in batch if line.mobile is None
            ]
            bar.update(len(batch))
    return done
