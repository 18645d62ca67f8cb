"""``relay suppressions`` on a database of its own."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay import app
from relay.cli.main import relay
from relay.cli.number_files import NotNumbers, read_numbers
from relay.config import load
from relay.domain.teams import Team
from tests.store.builders import entry, team


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path / "var")}


@pytest.fixture
def orders(environ: dict[str, str]) -> Team:
    made = team(name="orders")

    async def store_it() -> None:
        async with app.open_store(load(environ)) as store:
            await store.create_team(made, entry=entry(), idempotency=None)

    asyncio.run(store_it())
    return made


def run(environ: dict[str, str], *arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(relay, ["suppressions", *arguments], env=environ, input=typed)


def listed(environ: dict[str, str], *arguments: str) -> list[tuple[str, str]]:
    shown = json.loads(run(environ, "list", "--json", *arguments).stdout)
    return [(found["number"], found["source"]) for found in shown]


def test_a_number_is_added_listed_and_removed(environ: dict[str, str], orders: Team) -> None:
    added = run(environ, "add", "+86 138 0013 0001", "--team", orders.id, "--json")
    again = run(environ, "add", "13800130001", "--team", orders.id, "--json")
    run(environ, "add", "13800130002", "--team", orders.id)

    assert (added.exit_code, json.loads(added.stdout)["source"]) == (0, "cli")
    assert (again.exit_code, json.loads(again.stdout)) == (0, json.loads(added.stdout))
    assert "already" in again.stderr
    assert listed(environ, "--team", orders.id) == [("13800130002", "cli"), ("13800130001", "cli")]
    assert run(environ, "remove", json.loads(added.stdout)["id"]).exit_code == 0
    assert run(environ, "remove", "13800130002", "--team", orders.id).exit_code == 0
    assert listed(environ) == []
    gone = run(environ, "remove", "13800130002", "--team", orders.id)
    assert (gone.exit_code, gone.stdout) == (1, "")


def test_a_file_is_imported_and_its_wrong_lines_are_told(environ: dict[str, str], orders: Team, tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("name,Mobile\na,13800130001\nb,nobody\n\nc,86-13800130002\nd,13800130001\n", "utf-8-sig")

    first = run(environ, "import", str(path), "--team", orders.id, "--json")
    second = run(environ, "import", str(path), "--team", orders.id)

    refused = [{"line": 3, "to": "nobody", "reason": "malformed"}]
    assert (first.exit_code, json.loads(first.stdout)) == (1, {"added": 2, "already": 1, "refused": refused})
    assert (second.exit_code, second.stdout) == (1, "added 0, already there 3, refused 1\n")
    assert "line 3: nobody: malformed" in second.stderr
    assert sorted(listed(environ, "--team", orders.id)) == [("13800130001", "import"), ("13800130002", "import")]


def test_numbers_may_come_by_standard_input(environ: dict[str, str], orders: Team) -> None:
    done = run(environ, "import", "-", "--team", orders.id, typed="13800130001\n13800130002\n")

    assert (done.exit_code, done.stdout) == (0, "added 2, already there 0, refused 0\n")
    assert listed(environ, "--number", "138 0013 0002") == [("13800130002", "import")]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("add", "12345", "--team", "team_" + "0" * 32), 2, "13800130001"),
        (("add", "13800130001", "--team", "orders"), 1, "relay teams list"),
        (("add", "13800130001", "--team", "team_" + "0" * 32), 1, "there is no such team"),
        (("remove", "13800130001"), 2, "--team"),
        (("remove", "sup_" + "0" * 32), 1, "no such suppression"),
        (("list", "--number", "138****0001"), 2, "13800130001"),
    ],
)
def test_what_is_wrong_is_said(environ: dict[str, str], arguments: tuple[str, ...], code: int, says: str) -> None:
    refused = run(environ, *arguments)

    assert (refused.exit_code, refused.stdout) == (code, "")
    assert says in refused.stderr


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"13800130001\r\n\r\n 13800130002 \n", [(1, "13800130001"), (3, "13800130002")]),
        ("手机号;name\n13800130001;a".encode("gb18030"), [(2, "13800130001")]),
        (b"name\tto\na\t13800130001\nb\n", [(2, "13800130001"), (3, "")]),
        (b"head\n13800130001,x\n", [(2, "13800130001")]),
        (b'"13800130001","a\nb"\nx\n', [(2, "13800130001"), (3, "x")]),
        (b"id,Mobile Number\n1,13800130001\n", [(2, "13800130001")]),
        ("手机号\r\n13800130001\r\n".encode("utf-16"), [(2, "13800130001")]),
        (b"", []),
    ],
)
def test_a_file_of_numbers_is_read_as_it_comes(content: bytes, expected: list[tuple[int, str]]) -> None:
    assert [(line.at, line.number) for line in read_numbers(content)] == expected


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(NotNumbers):
        read_numbers(b"\xff\xff\xff")


def test_an_open_quotation_mark_swallows_no_lines() -> None:
    with pytest.raises(NotNumbers, match="line 3"):
        read_numbers(b'13800130001\n13800130002\n"13800130003\n13800130004\n')
