"""``relay teams`` and ``relay extensions``, on a database of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import relay

NOBODY = "team_" + "0" * 32


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path / "var")}


def run(environ: dict[str, str], *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(relay, arguments, env=environ, input=answer)


def shown(environ: dict[str, str], *arguments: str) -> Any:
    """What a command prints for scripts."""
    done = run(environ, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_team_is_made_changed_looked_at_and_deleted(environ: dict[str, str]) -> None:
    made = shown(
        environ,
        *("teams", "create", "--name", "orders", "--signature", "【示例】", "--extension", "102", "--extension", "101"),
        *("--quota", "0", "--requests-per-s", "2.5", "--limit", "otp=2/hour", "--limit", "notice=none"),
    )
    otp, none = ({"per_minute": None, "per_hour": per_hour, "per_day": None} for per_hour in (2, None))
    assert (made["extensions"], made["quota_units_per_day"]) == (["101", "102"], 0)
    assert made["recipient_limits"] == {"otp": otp, "notice": none}

    changed = shown(
        environ,
        *("teams", "update", made["id"], "--name", "shop", "--no-signature", "--no-extensions", "--no-rate"),
        *("--quota", "5", "--limit", "otp=default", "--limit", "notice=9/day"),
    )
    assert changed == made | {
        "name": "shop",
        "signature": None,
        "extensions": [],
        "requests_per_s": None,
        "quota_units_per_day": 5,
        "recipient_limits": {
            "otp": {"per_minute": 1, "per_hour": 5, "per_day": 10},
            "notice": none | {"per_day": 9},
        },
    }
    assert shown(environ, "teams", "show", made["id"]) == changed
    assert shown(environ, "teams", "list") == [changed]
    used = shown(environ, "teams", "usage", made["id"])
    assert (used["units_used"], used["quota_units_per_day"], used["units_left"]) == (0, 5, 5)
    for arguments in (("list",), ("show", made["id"]), ("usage", made["id"])):
        assert made["id"] in run(environ, "teams", *arguments).stdout

    assert run(environ, "teams", "delete", made["id"], answer="n\n").exit_code == 1
    assert shown(environ, "teams", "list") == [changed]
    assert run(environ, "teams", "delete", made["id"], "--yes").exit_code == 0
    assert shown(environ, "teams", "list") == []


def test_extensions_are_leased_listed_and_released(environ: dict[str, str]) -> None:
    team = shown(environ, "teams", "create", "--name", "orders", "--extension", "1000")["id"]

    assert run(environ, "extensions", "lease", "--team", team).stdout == "1001\n"
    leased = shown(environ, "extensions", "lease", "--team", team, "--extension", "88")
    assert leased == {"extension": "88", "team_id": team, "account_ids": []}
    assert [row["extension"] for row in shown(environ, "extensions", "list", "--team", team)] == ["1000", "1001", "88"]
    assert run(environ, "extensions", "release", "1001", "--team", team, answer="n\n").exit_code == 1
    assert run(environ, "extensions", "release", "1001", "--team", team, "--yes").exit_code == 0
    table = run(environ, "extensions", "list").stdout
    assert [line.split()[0] for line in table.splitlines()] == ["EXTENSION", "1000", "88"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("teams", "show", NOBODY), 1, "no such team"),
        (("teams", "usage", NOBODY), 1, "no such team"),
        (("teams", "update", NOBODY, "--name", "x"), 1, "no such team"),
        (("teams", "delete", NOBODY, "--yes"), 1, "no such team"),
        (("teams", "create", "--name", "x", "--signature", "shop"), 1, "/signature"),
        (("teams", "create", "--name", "x", "--account", "acct_" + "0" * 32), 1, "/accounts/0"),
        (("extensions", "lease", "--team", NOBODY), 1, "/team_id"),
        (("extensions", "release", "1", "--team", NOBODY, "--yes"), 1, "not leased"),
        (("teams", "show", "orders"), 1, "relay teams list"),
        (("teams", "update", NOBODY), 2, "what is to change"),
        (("teams", "update", NOBODY, "--quota", "1", "--no-quota"), 2, "--no-quota"),
        (("teams", "create", "--name", "x", "--limit", "otp=1/week"), 2, "--limit"),
        (("teams", "create", "--name", "x", "--limit", "spam=1/day"), 2, "--limit"),
        (("extensions", "list", "--account", "first"), 1, "relay accounts list"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_told_with_its_exit_code(
    environ: dict[str, str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = run(environ, *arguments)

    assert (done.exit_code, done.stdout) == (code, "")
    assert says in done.stderr


def test_teams_and_accounts_go_by_their_names_everywhere(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("13800130001\n")
    add = ("accounts", "create", "main", "--base-url", "http://127.0.0.1:9", "--account", "a", "--password-stdin")
    account = json.loads(run(environ, *add, "--json", answer="made up\n").stdout)["id"]
    team = shown(environ, "teams", "create", "--name", "订单", "--account", "main")
    assert team["accounts"] == [account]

    assert shown(environ, "extensions", "lease", "--team", "订单", "--account", "main")["account_ids"] == [account]
    assert len(shown(environ, "extensions", "list", "--team", "订单", "--account", "main")) == 1
    released = shown(environ, "extensions", "release", "1000", "--team", "订单", "--account", "main", "--yes")
    assert released == {"extension": "1000", "released": True}

    assert shown(environ, "suppressions", "import", str(tmp_path / "numbers"), "--team", "订单")["added"] == 1
    (opted_out,) = shown(environ, "suppressions", "list", "--team", "订单")
    removed = shown(environ, "suppressions", "remove", "13800130001", "--team", "订单")
    assert removed == {"id": opted_out["id"], "removed": True}
    assert run(environ, "suppressions", "add", "13800130001", "--team", "订单").exit_code == 0

    key = shown(environ, "keys", "create", "--scope", "team", "--team", "订单")
    assert [row["id"] for row in shown(environ, "keys", "list", "--team", "订单")] == [key["id"]]
    for what in ("orphans", "quarantine"):
        assert shown(environ, what, "list", "--account", "main") == []
    assert shown(environ, "orphans", "reprocess", "--all", "--account", "main") == {"examined": 0, "matched": 0}

    assert shown(environ, "teams", "update", "订单", "--name", "shop", "--account", "main")["name"] == "shop"
    assert shown(environ, "teams", "usage", "shop")["units_used"] == 0
    assert shown(environ, "teams", "show", "shop")["id"] == team["id"]
    assert shown(environ, "teams", "delete", "shop", "--yes") == {"id": team["id"], "deleted": True}
    # What hung on it is still found by its id.
    assert len(shown(environ, "keys", "list", "--all", "--team", team["id"])) == 1
