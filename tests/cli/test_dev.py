import shlex

from relay.cli.dev import USUAL, welcome
from relay.cli.running import with_usual
from relay.config import load


def test_the_curl_line_can_be_pasted_into_a_shell() -> None:
    shown = welcome("http://127.0.0.1:8080", "http://127.0.0.1:9", "rk_test_x")

    (line,) = [line for line in shown.splitlines() if line.startswith("  curl")]
    words = shlex.split(line)
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8080/v1/messages"]
    assert "Authorization: Bearer rk_test_x" in words
    assert words[-1] == '{"to": "13800130001", "text": "Hello from relay"}'
    assert "http://127.0.0.1:8080/docs" in shown


def test_what_the_environment_sets_comes_before_what_is_usual_in_development() -> None:
    environ = with_usual({"RELAY_HOST": "::1", "RELAY_LOG_LEVEL_FILE": "/run/level", "RELAY_LOG_FORMAT": ""}, USUAL)

    assert (environ["RELAY_HOST"], environ["RELAY_ENV"], environ["RELAY_LOG_FORMAT"]) == (
        "::1",
        "development",
        "console",
    )
    assert "RELAY_LOG_LEVEL" not in environ


def test_the_usual_settings_of_development_are_settings() -> None:
    assert load(with_usual({}, USUAL)).env == "development"
