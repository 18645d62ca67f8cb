import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import relay
from relay.domain.keys import is_key, write_key


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path / "var")}


def run(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(relay, arguments, env=environ)


def test_the_first_admin_key_is_made_on_an_empty_directory(environ: dict[str, str]) -> None:
    made = run(environ, "keys", "create", "--scope", "admin", "--json")

    key = json.loads(made.stdout)
    assert made.exit_code == 0
    assert sorted(key) == ["id", "secret"]
    assert key["id"].startswith("key_")
    assert key["secret"].startswith("rk_admin_")
    assert is_key(key["secret"])


def test_without_json_id_and_secret_are_two_lines(environ: dict[str, str]) -> None:
    made = run(environ, "keys", "create", "--scope", "admin")

    key_id, secret = made.stdout.splitlines()
    assert (key_id[:4], is_key(secret)) == ("key_", True)


def test_a_key_for_a_team_that_does_not_exist_is_refused(environ: dict[str, str]) -> None:
    refused = run(environ, "keys", "create", "--scope", "team", "--team", f"team_{'0' * 32}")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "relay: refused: The key cannot be made. /team_id there is no such team\n"


def test_production_without_a_key_ring_makes_no_key(environ: dict[str, str]) -> None:
    refused = run(environ | {"RELAY_ENV": "production"}, "keys", "create", "--scope", "admin")

    assert (refused.exit_code, refused.stdout) == (3, "")
    assert refused.stderr.startswith("relay: key ring: ")


def test_doctor_is_content_with_what_migrate_and_keys_made(environ: dict[str, str], tmp_path: Path) -> None:
    assert json.loads(run(environ, "migrate", "--json").stdout)["revision"]
    run(environ, "keys", "create", "--scope", "admin")

    examined = run(environ, "doctor", "--json")

    verdicts = {finding["check"]: finding["verdict"] for finding in json.loads(examined.stdout)}
    assert examined.exit_code == 0
    assert (verdicts["settings"], verdicts["data dir"], verdicts["database"]) == ("ok", "ok", "ok")
    assert stat.S_IMODE((tmp_path / "var" / "keyring").stat().st_mode) == 0o600


def test_doctor_says_how_to_make_a_key_ring(environ: dict[str, str]) -> None:
    examined = run(environ | {"RELAY_ENV": "production"}, "doctor", "--json")

    finding = next(finding for finding in json.loads(examined.stdout) if finding["check"] == "key ring")
    assert (examined.exit_code, finding["verdict"]) == (1, "fail")
    assert "RELAY_KEYRING_FILE" in finding["advice"]


# -- what is there ---------------------------------------------------------------------------------------------------


def _make(environ: dict[str, str]) -> dict[str, str]:
    made: dict[str, str] = json.loads(run(environ, "keys", "create", "--scope", "admin", "--json").stdout)
    return made


def test_keys_are_listed_shown_and_revoked(environ: dict[str, str]) -> None:
    first, second = _make(environ), _make(environ)

    revoked = run(environ, "keys", "revoke", first["id"], "--yes", "--json")

    listed = json.loads(run(environ, "keys", "list", "--json").stdout)
    every = run(environ, "keys", "list", "--all")
    shown = run(environ, "keys", "show", first["id"])
    assert json.loads(revoked.stdout)["revoked_at"] is not None
    assert [key["id"] for key in listed] == [second["id"]]
    assert (first["id"] in every.stdout, second["id"] in every.stdout) == (True, True)
    assert shown.stdout.startswith(f"id            {first['id']}")
    assert first["secret"] not in every.stdout + shown.stdout + revoked.stdout


def test_revoking_asks_first(environ: dict[str, str]) -> None:
    key = _make(environ)

    asked = CliRunner().invoke(relay, ["keys", "revoke", key["id"]], env=environ, input="n\n")

    assert asked.exit_code == 1
    assert json.loads(run(environ, "keys", "show", key["id"], "--json").stdout)["revoked_at"] is None


def test_a_rotated_key_has_a_successor_and_an_end(environ: dict[str, str]) -> None:
    key = _make(environ)

    rotated = run(environ, "keys", "rotate", key["id"], "--overlap", "60", "--json")

    new = json.loads(rotated.stdout)
    assert is_key(new["secret"])
    assert new["id"] != key["id"]
    assert json.loads(run(environ, "keys", "show", key["id"], "--json").stdout)["expires_at"] is not None
    run(environ, "keys", "rotate", key["id"], "--overlap", "0")
    late = run(environ, "keys", "rotate", key["id"])
    assert (late.exit_code, late.stderr) == (
        1,
        "relay: refused: The key is expired, and stays so: make a new one.\n",
    )


def test_what_a_scanner_found_is_told_without_its_secret(environ: dict[str, str]) -> None:
    live, revoked, foreign = _make(environ), _make(environ), write_key("live", bytes(32))
    run(environ, "keys", "revoke", revoked["id"], "--yes")
    text = f"a={live['secret']}\nb={revoked['secret']}\nc={foreign}\nd={foreign[:-1]}x\n"

    def check(text: str, *arguments: str) -> Result:
        return CliRunner().invoke(relay, ["keys", "check", *arguments], env=environ, input=text)

    found = check(text, "--json")
    table = check(text)
    harmless = check(text.replace(live["secret"], ""))

    assert [(key["state"], key["id"]) for key in json.loads(found.stdout)] == [
        ("active", live["id"]),
        ("revoked", revoked["id"]),
        ("unknown", None),
    ]
    assert (found.exit_code, table.exit_code, harmless.exit_code) == (1, 1, 0)
    for secret in (live["secret"], revoked["secret"], foreign):
        assert secret not in found.output + table.output


def test_an_id_that_cannot_be_one_is_wrong_usage(environ: dict[str, str]) -> None:
    wrong = run(environ, "keys", "show", "team_1")

    assert wrong.exit_code == 2
    assert "it reads key_ and 32 hex digits" in wrong.stderr
