"""What the commands under ``relay accounts`` share: options and passwords."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:  # imported when it is known that the command runs
    from msgspec import Struct

S = TypeVar("S", bound="Struct")
F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option("--pwd-case", type=click.Choice(["lower", "upper"]), help="In which case the MD5 is sent."),
    click.option("--max-mobiles", type=int, help="Numbers of one upstream call, at most 3000."),
    click.option("--requests-per-s", type=float, help="Upstream calls per second."),
    click.option("--connections", type=int, help="Upstream connections at once."),
    click.option("--timeout", "timeout_s", type=float, metavar="SECONDS", help="Of one upstream call."),
    click.option("--pull-reports/--no-pull-reports", default=None, help="Whether reports are pulled."),
    click.option("--pull-inbound/--no-pull-inbound", default=None, help="Whether inbound messages are pulled."),
    click.option("--pull-interval", "pull_interval_s", type=float, metavar="SECONDS", help="Between two pulls."),
    click.option(
        "--callback-allow",
        multiple=True,
        metavar="CIDR",
        help='Where callbacks may come from; repeatable. "" allows every address again.',
    ),
    click.option("--callback-proxies", type=int, help="Trusted proxies in front of the gateway."),
    click.option("--weight", type=int, help="Share of the traffic among accounts."),
    click.option("--task-id-dedup/--no-task-id-dedup", default=None, help="Whether repeated taskIds are dropped."),
    click.option(
        "--code",
        "add_codes",
        multiple=True,
        metavar="CODE=CLASS[:retryable][:account]",
        help="What a refusal code means, for example 08=throttled:retryable:account; repeatable.",
    ),
    click.option("--no-code", "drop_codes", multiple=True, metavar="CODE", help="Forget a code; repeatable."),
    click.option("--low-balance", metavar="SMS", help='Tell of a balance that falls to it; "never": do not.'),
    click.option("--extension-digits", metavar="DIGITS", help='How long extensions are; "any": of any length.'),
)
_PASSWORDS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option("--password-stdin", is_flag=True, help="Read the password from standard input, one line."),
    click.option(
        "--password-ref",
        metavar="REF",
        help="Where the gateway reads it, again whenever it changes: file:/run/secrets/… or env:NAME.",
    ),
    click.option("--password-md5-stdin", is_flag=True, help="Read its MD5 from standard input."),
)
_PLAIN: Final = (
    *("pwd_case", "max_mobiles", "requests_per_s", "connections", "timeout_s", "pull_reports", "pull_inbound"),
    *("pull_interval_s", "callback_proxies", "weight", "task_id_dedup"),
)
_NOTHING: Final = {"low_balance": "never", "extension_digits": "any"}


def settings_options(command: F) -> F:
    """An option for each setting of an account."""
    return _with(command, _SETTINGS)


def password_options(command: F) -> F:
    """Where the password comes from; never from the command line, which others can see."""
    return _with(command, _PASSWORDS)


def _with(command: F, options: tuple[Callable[[Any], Any], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were named, as the API takes them."""
    body = {name: given[name] for name in _PLAIN if given[name] is not None}
    if given["callback_allow"]:
        body["callback_allow"] = [address for address in given["callback_allow"] if address]
    codes = dict.fromkeys(given["drop_codes"]) | dict(map(_read_code, given["add_codes"]))
    if codes:
        body["codes"] = codes
    for name, word in _NOTHING.items():
        text = given[name]
        if text is not None:
            body[name] = None if text == word else _read_number(name, text)
    return body


def _read_number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise click.UsageError(f"--{name.replace('_', '-')}: a number, or {_NOTHING[name]}") from None


def _read_code(text: str) -> tuple[str, dict[str, Any]]:
    code, _, rule = text.partition("=")
    code_class, *words = rule.split(":")
    if not code or not code_class or not set(words) <= {"retryable", "account"}:
        raise click.UsageError("--code: write it like 08=throttled:retryable:account")
    scope = "account" if "account" in words else "task"
    return code, {"class": code_class, "retryable": "retryable" in words, "scope": scope}


def password_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The password, from where the options say, else asked for."""
    wanted = [name for name in ("password_stdin", "password_md5_stdin", "password_ref") if given[name]]
    if len(wanted) > 1:
        raise click.UsageError("give one of --password-stdin, --password-md5-stdin and --password-ref")
    if given["password_ref"]:
        return {"password_ref": given["password_ref"]}
    if wanted:
        line = sys.stdin.readline().rstrip("\r\n")
        return {"password_md5" if given["password_md5_stdin"] else "password": line}
    return {"password": click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)}


def checked(body: dict[str, Any], kind: type[S]) -> S:
    """The options as the API would take them. Raises BodyInvalid that points at what is wrong."""
    import msgspec

    from relay.api.bodies import read_json

    return read_json(msgspec.json.encode(body), kind)


def callback_urls(token: str) -> dict[str, str]:
    """The addresses to register with the provider."""
    from relay.cli import running

    chosen = running.settings()
    base = chosen.public_url or f"http://localhost:{chosen.port}"
    return {kind: f"{base}/callbacks/{token}/{kind}" for kind in ("report", "mo")}
