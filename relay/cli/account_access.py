"""``relay accounts rotate-credentials`` and ``probe``: the commands that call the provider."""

from typing import TYPE_CHECKING

import click

from relay.cli import exits
from relay.cli.account_options import password_options
from relay.cli.administering import find_account, json_option, keeping, with_admin

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.domain.accounts import AccountView
    from relay.services.admin.probe import ProbeView

_WORDS = {
    "deduplicated": "yes: the second send was refused as a duplicate; set --task-id-dedup",
    "refused": "the second send was refused: if these words say duplicate, list its code as duplicate and set "
    "--task-id-dedup",
    "accepted": "not shown: both sends were accepted; see whether the phone gets one SMS or two",
    "undecided": "undecided: a send was not accepted, or nobody knows",
}


@click.command("rotate-credentials", epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@click.option("--account", "provider_account", metavar="NAME", help="Another name of the account at the provider.")
@click.option(
    "--fallback",
    "fallback_s",
    type=click.IntRange(0, 604_800),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long the credentials before are used where the new ones are refused.",
)
@password_options
@json_option("the account")
def rotate_credentials(
    account: str, provider_account: str | None, fallback_s: int, as_json: bool, **given: object
) -> None:
    """Change an account's password, once the provider has taken the new one.

    Asks the provider for the balance with it; when that fails nothing changes. Safe while messages are sent: a running
    gateway takes the new one up by itself. The password is asked for, unless one of the --password options says where
    it comes from.
    """
    from relay.api.account_inputs import CredentialsInput, new_credentials
    from relay.cli import output
    from relay.cli.account_options import checked, password_of

    body = {"fallback_s": fallback_s, "account": provider_account}
    wanted = new_credentials(checked(body | password_of(given), CredentialsInput))

    async def work(admin: "Admin") -> "AccountView":
        from relay.domain.audit import COMMAND

        made: list[AccountView] = []

        await admin.account_credentials.rotate(await find_account(admin, account), wanted, COMMAND, None, keeping(made))
        return made[-1]

    view = with_admin(work)
    if as_json:
        output.json_line(view)
    elif view.fallback_until is None:
        click.echo("Changed, without a fall-back.")
    else:
        click.echo(f"Changed. The credentials before are a fall-back until {output.cell(view.fallback_until)}.")


@click.command(epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@click.option("--check-task-id-dedup", "check", is_flag=True, help="Send one text twice with the same taskId.")
@click.option("--number", help="Where to: a mobile number whose owner agrees.")
@click.option("--text", help="The text, with the signature that the provider wants.")
@click.option("--yes", is_flag=True, help="Do not ask: the check costs up to two SMS.")
@json_option("balance, latency and the check")
def probe(account: str, check: bool, number: str | None, text: str | None, yes: bool, as_json: bool) -> None:
    """Ask an account's provider for the balance, and how long it takes to tell.

    With --check-task-id-dedup also whether it drops a second send with the same taskId: one text goes to --number
    twice. The reports of both come as orphans under the taskId that is printed, and can be dismissed.
    """
    from relay.api.account_inputs import DedupInput, dedup_check
    from relay.cli import output
    from relay.cli.account_options import checked

    if check != (number is not None):
        raise click.UsageError("--check-task-id-dedup and --number belong together")
    said = {"number": number} | ({} if text is None else {"text": text})
    wanted = dedup_check(checked(said, DedupInput)) if check else None
    if wanted is not None and not yes:
        click.confirm("Send up to two SMS, which the provider charges for?", abort=True, err=True)

    async def work(admin: "Admin") -> "ProbeView":
        from relay.domain.audit import COMMAND

        made: list[ProbeView] = []

        await admin.account_probe.probe(await find_account(admin, account), wanted, COMMAND, None, keeping(made))
        return made[-1]

    view = with_admin(work)
    if as_json:
        output.json_line(view)
    else:
        _tell(view)


def _tell(view: "ProbeView") -> None:
    latency = view.latency_ms
    click.echo(f"balance  {view.balance} SMS, {'prepaid' if view.prepaid else 'postpaid'}")
    click.echo(f"latency  {latency.median} ms, {latency.min} to {latency.max} ms in {latency.calls} calls")
    if view.dedup is None:
        return
    click.echo(f"taskId   {view.dedup.task_id}")
    for name, answer in (("first", view.dedup.first), ("second", view.dedup.second)):
        if answer is not None:
            from relay.cli.output import cell

            click.echo(f"{name:<7}  {answer.outcome}, code {cell(answer.code)} {cell(answer.message)}")
    click.echo(f"dedup    {_WORDS[view.dedup.verdict]}")
