import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import relay


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path / "var")}


def run(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(relay, arguments, env=environ)


def test_what_commands_do_is_listed_newest_first_and_exported_oldest_first(environ: dict[str, str]) -> None:
    ids = [json.loads(run(environ, "keys", "create", "--scope", "admin", "--json").stdout)["id"] for _ in range(2)]

    listed = json.loads(run(environ, "audit", "list", "--action", "key.*", "--json").stdout)
    exported = [json.loads(line) for line in run(environ, "audit", "export").stdout.splitlines()]
    shown = run(environ, "audit", "list", "--target", ids[0]).stdout

    assert [(entry["action"], entry["target"], entry["actor"]) for entry in listed] == [
        ("key.created", key_id, "cli") for key_id in reversed(ids)
    ]
    assert exported == listed[::-1]
    assert ids[0] in shown
    assert ids[1] not in shown


def test_times_bound_it_and_must_be_times(environ: dict[str, str]) -> None:
    run(environ, "keys", "create", "--scope", "admin")

    past = run(environ, "audit", "export", "--until", "2020-01-01T00:00:00Z")
    since = run(environ, "audit", "export", "--since", "2020-01-01T00:00:00+08:00")
    wrong = run(environ, "audit", "export", "--since", "2020-01-01T00:00:00")

    assert (past.exit_code, past.stdout, len(since.stdout.splitlines())) == (0, "", 1)
    assert wrong.exit_code == 2
    assert "say the time zone" in wrong.stderr


def test_what_ends_one_export_begins_the_next(environ: dict[str, str]) -> None:
    run(environ, "keys", "create", "--scope", "admin")
    (entry,) = json.loads(run(environ, "audit", "list", "--json").stdout)

    before = run(environ, "audit", "export", "--until", entry["at"]).stdout
    after = run(environ, "audit", "export", "--since", entry["at"]).stdout

    assert (before, len(after.splitlines())) == ("", 1)
