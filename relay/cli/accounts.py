"""``relay accounts``: provider accounts, without an HTTP call and beside a running gateway."""

from typing import TYPE_CHECKING, Any

import click

from relay.cli import exits
from relay.cli.account_access import probe, rotate_credentials
from relay.cli.account_options import password_options, settings_options
from relay.cli.administering import find_account, json_option, print_done, print_things, with_admin

if TYPE_CHECKING:  # imported when it is known that the command runs
    from relay.app import Admin
    from relay.domain.accounts import Account, AccountView, BalanceView, CallbackTokenView
    from relay.services.admin.account_requests import AccountChanges

_BALANCE_COLUMNS = ("account_id", "account_name", "balance", "prepaid", "days_left", "as_of")
_COLUMNS = ("id", "name", "account", "base_url", "disabled", "weight", "requests_per_s", "created_at")


@click.group(epilog=exits.HELP)
def accounts() -> None:
    """Provider accounts.

    ACCOUNT is an account's id or name. A running gateway does within seconds what is changed here.
    """


@accounts.command("list", epilog=exits.HELP)
@json_option("one JSON list")
def list_accounts(as_json: bool) -> None:
    """List the accounts, oldest first."""
    from relay.domain.accounts import view_of

    async def work(admin: "Admin") -> "list[AccountView]":
        return [view_of(account) for account in await admin.store.accounts()]

    print_things(with_admin(work), _COLUMNS, as_json=as_json)


@accounts.command(epilog=exits.HELP)
@json_option("one JSON list")
def balances(as_json: bool) -> None:
    """Show what is left of each account, as a gateway last heard; `relay accounts probe` asks now.

    In SMS. Of a postpaid account (PREPAID no) nothing runs out. DAYS LEFT is at the rate of the last seven days.
    """

    async def work(admin: "Admin") -> "list[BalanceView]":
        return await admin.store.all_balances()

    print_things(with_admin(work), _BALANCE_COLUMNS, as_json=as_json)


@accounts.command(epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@json_option("the account with its callback_tokens")
def show(account: str, as_json: bool) -> None:
    """Show one account, and its callback tokens."""
    from relay.cli import output
    from relay.domain.accounts import view_of
    from relay.domain.errors import NotFound

    async def work(admin: "Admin") -> "tuple[AccountView, list[CallbackTokenView]]":
        found = await admin.store.account(await find_account(admin, account))
        if found is None:
            raise NotFound("There is no such account.")
        return view_of(found), await admin.account_tokens.tokens(found.id)

    view, tokens = with_admin(work)
    if as_json:
        import msgspec

        output.json_line(msgspec.to_builtins(view) | {"callback_tokens": msgspec.to_builtins(tokens)})
    else:
        output.card(view)
        click.echo()
        output.table(tokens, ("id", "created_at", "expires_at"))


@accounts.command(epilog=exits.HELP)
@click.argument("name")
@click.option("--base-url", required=True, help="The provider's address, without /api/v1.")
@click.option("--account", "provider_account", required=True, help="The account's name at the provider.")
@password_options
@settings_options
@json_option("the account with its callback_urls")
def create(name: str, base_url: str, provider_account: str, as_json: bool, **given: object) -> None:
    """Add a provider account.

    Prints the callback addresses, once: register them with the provider. They begin with RELAY_PUBLIC_URL. The password
    is asked for, unless one of the --password options says where it comes from.
    """
    import msgspec

    from relay.api.account_inputs import AccountInput, account_request
    from relay.cli.account_options import callback_urls, checked, password_of, settings_of

    body = {"name": name, "base_url": base_url, "account": provider_account}
    request = account_request(checked(body | password_of(given) | settings_of(given), AccountInput))

    async def work(admin: "Admin") -> dict[str, Any]:
        from relay.domain.audit import COMMAND

        made: dict[str, Any] = {}

        def render(view: "AccountView", token: str) -> bytes:
            made.update(msgspec.to_builtins(view) | {"callback_urls": callback_urls(token)})
            return b""

        await admin.accounts.create_account(request, COMMAND, None, render)
        return made

    _tell_with_urls(with_admin(work), as_json)


@accounts.command(epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@click.option("--name", help="Another name here.")
@click.option("--base-url", help="Another address of the provider.")
@settings_options
@json_option("the account")
def update(account: str, as_json: bool, **given: object) -> None:
    """Change an account's settings; what is not named stays.

    --code CODE=CLASS[:retryable][:account] adds or replaces the rule of a code, --no-code CODE takes it away.
    Credentials are changed by rotate-credentials.
    """
    from relay.api.account_inputs import AccountPatchInput, account_changes
    from relay.cli.account_options import checked, settings_of

    body = settings_of(given) | {key: given[key] for key in ("name", "base_url") if given[key] is not None}
    if not body:
        raise click.UsageError("nothing is to be changed: name a setting")
    changes = account_changes(checked(body, AccountPatchInput))
    _change(account, changes, as_json)


@accounts.command(epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@json_option("the account")
def disable(account: str, as_json: bool) -> None:
    """Send and pull nothing more by an account. What waits for it goes to its team's other accounts, or waits on."""
    _switch(account, disabled=True, as_json=as_json)


@accounts.command(epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@json_option("the account")
def enable(account: str, as_json: bool) -> None:
    """Send and pull by an account again."""
    _switch(account, disabled=False, as_json=as_json)


@accounts.command(epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@click.option("--yes", is_flag=True, help="Do not ask: it cannot be undone.")
@json_option('{"id": …, "deleted": true}')
def delete(account: str, yes: bool, as_json: bool) -> None:
    """Delete an account that is not in use.

    Refused while a team names it, an extension is leased on it, a message of it is not final, or it takes traffic.
    """

    if not yes:
        question = f"Delete the account {account}, its credentials and callback tokens? This cannot be undone."
        click.confirm(question, abort=True, err=True)

    async def work(admin: "Admin") -> str:
        from relay.domain.audit import COMMAND

        account_id = await find_account(admin, account)
        await admin.accounts.delete_account(account_id, COMMAND, None)
        return account_id

    account_id = with_admin(work)
    print_done(f"Deleted {account_id}.", as_json=as_json, id=account_id, deleted=True)


accounts.add_command(rotate_credentials)
accounts.add_command(probe)


@accounts.command("rotate-callback-token", epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@click.option(
    "--overlap",
    type=click.IntRange(0, 2_592_000),
    default=86_400,
    show_default=True,
    metavar="SECONDS",
    help="How long callbacks by the token before are still taken.",
)
@json_option('{"callback_urls": …, "others_expire_at": …}')
def rotate_callback_token(account: str, overlap: int, as_json: bool) -> None:
    """Make another callback token, and print the new callback addresses, once.

    Two are live at most: a third one ends the oldest at once.
    """
    from relay.cli.account_options import callback_urls

    async def work(admin: "Admin") -> dict[str, Any]:
        from relay.domain.audit import COMMAND
        from relay.domain.times import instant

        made: dict[str, Any] = {}

        def render(token: str, expires_ms: int) -> bytes:
            made.update(callback_urls=callback_urls(token), others_expire_at=instant(expires_ms))
            return b""

        await admin.account_tokens.rotate(await find_account(admin, account), overlap, COMMAND, None, render)
        return made

    _tell_with_urls(with_admin(work), as_json)


@accounts.command("revoke-callback-token", epilog=exits.HELP)
@click.argument("account", metavar="ACCOUNT")
@click.argument("token_id")
@json_option('{"id": …, "revoked": true}')
def revoke_callback_token(account: str, token_id: str, as_json: bool) -> None:
    """End a callback token; `relay accounts show` lists their ids."""

    async def work(admin: "Admin") -> None:
        from relay.domain.audit import COMMAND

        await admin.account_tokens.revoke(await find_account(admin, account), token_id, COMMAND)

    with_admin(work)
    print_done(f"Revoked {token_id}.", as_json=as_json, id=token_id, revoked=True)


def _switch(account: str, *, disabled: bool, as_json: bool) -> None:
    from relay.services.admin.account_requests import AccountChanges

    _change(account, AccountChanges(disabled=disabled), as_json)


def _change(account: str, changes: "AccountChanges", as_json: bool) -> None:
    from relay.domain.audit import COMMAND

    async def work(admin: "Admin") -> "Account":
        return await admin.accounts.change_account(await find_account(admin, account), changes, COMMAND, None)

    _tell(with_admin(work), as_json)


def _tell(account: "Account", as_json: bool) -> None:
    from relay.cli import output
    from relay.domain.accounts import view_of

    if as_json:
        output.json_line(view_of(account))
    else:
        output.card(view_of(account))


def _tell_with_urls(made: dict[str, Any], as_json: bool) -> None:
    from relay.cli import output

    if as_json:
        output.json_line(made)
        return
    for name in ("id", "name"):
        if name in made:
            click.echo(f"{name:<12}  {output.cell(made[name])}")
    for kind, url in made["callback_urls"].items():
        click.echo(f"{kind + ' url':<12}  {url}")
    if "others_expire_at" in made:
        click.echo(f"{'others until':<12}  {output.cell(made['others_expire_at'])}")
    click.echo("The callback addresses are shown this once. Register them with the provider.", err=True)
