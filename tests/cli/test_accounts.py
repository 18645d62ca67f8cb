import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import relay

PASSWORD = "interface-password-Zq7"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "RELAY_ENV": "development",
        "RELAY_DATA_DIR": str(tmp_path / "var"),
        "RELAY_PUBLIC_URL": "https://sms.corp.example",
        "RELAY_LOG_LEVEL": "warning",
    }


def run(environ: dict[str, str], *arguments: str, said: str | None = None) -> Result:
    return CliRunner().invoke(relay, ["accounts", *arguments], env=environ, input=said)


def made(environ: dict[str, str], *more: str, base_url: str = "http://127.0.0.1:9") -> dict[str, Any]:
    arguments = ("create", "main", "--base-url", base_url, "--account", "demo", "--json", *more)
    created = run(environ, *arguments, said=f"{PASSWORD}\n") if more else run(environ, *arguments, said=PASSWORD)
    assert created.exit_code == 0, created.output
    account: dict[str, Any] = json.loads(created.stdout)
    return account


def shown(environ: dict[str, str]) -> dict[str, Any]:
    account: dict[str, Any] = json.loads(run(environ, "show", "main", "--json").stdout)
    return account


def test_the_balances_are_shown_before_any_is_known(environ: dict[str, str]) -> None:
    account = made(environ, "--password-stdin")

    (shown,) = json.loads(run(environ, "balances", "--json").stdout)
    table = run(environ, "balances").stdout

    assert [shown["account_id"], shown["account_name"], shown["balance"]] == [account["id"], "main", None]
    assert table.splitlines()[1].split()[1:] == ["main", "-", "-", "-", "-"]


def test_an_account_lives_by_commands_alone(environ: dict[str, str]) -> None:
    account = made(environ, "--password-stdin", "--code", "08=throttled:retryable:account", "--low-balance", "100")
    assert account["callback_urls"]["report"].startswith("https://sms.corp.example/callbacks/")
    assert account["codes"] == {"08": {"class": "throttled", "retryable": True, "scope": "account"}}

    update = (
        "update",
        account["id"],
        "--no-code",
        "08",
        "--code",
        "01=auth",
        "--low-balance",
        "never",
        "--weight",
        "3",
    )
    assert run(environ, *update, "--no-pull-reports", "--callback-allow", "203.0.113.0/24").exit_code == 0
    rotated = run(environ, "rotate-callback-token", "main", "--overlap", "60", "--json")
    assert run(environ, "disable", "main").exit_code == 0

    after = shown(environ)
    assert [len(after["callback_tokens"]), after["low_balance"], after["weight"]] == [2, None, 3]
    assert (list(after["codes"]), after["pull_reports"], after["disabled"]) == (["01"], False, True)
    assert after["callback_allow"] == ["203.0.113.0/24"]
    assert json.loads(rotated.stdout)["callback_urls"]["mo"] != account["callback_urls"]["mo"]
    token_id = after["callback_tokens"][0]["id"]
    assert run(environ, "revoke-callback-token", "main", token_id).exit_code == 0
    assert [one["name"] for one in json.loads(run(environ, "list", "--json").stdout)] == ["main"]
    assert "main" in run(environ, "list").stdout

    asked = run(environ, "delete", "main", said="n\n")
    assert (asked.exit_code, len(json.loads(run(environ, "list", "--json").stdout))) == (1, 1)
    gone = run(environ, "delete", "main", "--yes", "--json")
    assert json.loads(gone.stdout) == {"id": account["id"], "deleted": True}
    assert json.loads(run(environ, "list", "--json").stdout) == []


def test_a_password_is_never_printed_and_comes_from_where_it_is_said_to(
    environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    elsewhere = run(
        environ, "create", "main", "--base-url", "http://x", "--account", "x", "--password-ref", f"file:{file}"
    )
    assert (elsewhere.exit_code, "RELAY_SECRET_DIRS is /run/secrets" in elsewhere.stderr) == (1, True)
    environ["RELAY_SECRET_DIRS"] = str(tmp_path)
    made(environ, "--password-ref", f"file:{file}")

    assert shown(environ)["password_ref"] == f"file:{file}"
    assert PASSWORD not in run(environ, "show", "main").output
    two = run(environ, "rotate-credentials", "main", "--password-stdin", "--password-ref", "env:X", said=PASSWORD)
    assert two.exit_code == 2
    unreadable = run(environ, "rotate-credentials", "main", "--password-ref", "env:RELAY_KEYRING")
    assert (unreadable.exit_code, unreadable.stderr) == (
        1,
        "relay: refused: The password cannot be read. /password_ref variables of the gateway itself are not read\n",
    )


def test_a_provider_that_does_not_answer_changes_nothing(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    made(environ, "--password-stdin", base_url=f"http://127.0.0.1:{port}")

    for ended in (
        run(environ, "rotate-credentials", "main", "--password-stdin", said="other\n"),
        run(environ, "probe", "main"),
    ):
        assert (ended.exit_code, ended.stdout) == (1, "")
        assert ended.stderr.startswith("relay: refused: There is no balance to be had (connect)")


@pytest.mark.parametrize(
    "arguments",
    [
        ("update", "main"),
        ("update", "main", "--code", "08"),
        ("update", "main", "--low-balance", "some"),
        ("probe", "main", "--check-task-id-dedup"),
        ("probe", "main", "--number", "13800130001"),
    ],
)
def test_wrong_usage_is_told(environ: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert run(environ, *arguments).exit_code == 2


def test_what_the_api_would_refuse_is_refused_with_its_words(environ: dict[str, str]) -> None:
    made(environ, "--password-stdin")

    for arguments, word in (
        (("update", "main", "--requests-per-s", "0"), "/requests_per_s"),
        (("update", "main", "--callback-allow", "nowhere"), "/callback_allow/0"),
        (("update", "main", "--code", "01=nothing"), "/codes/01/class"),
        (("show", "other"), "There is no account of this id or name: `relay accounts list` shows them."),
    ):
        ended = run(environ, *arguments)
        assert ended.exit_code == 1
        assert word in ended.stderr
