"""How commands print: tables that stay readable."""

import msgspec
import pytest

from relay.cli import output


class Thing(msgspec.Struct):
    """A row."""

    id: str
    detail: dict[str, str]


def test_a_table_cuts_what_is_long_and_lines_up_wide_signs(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([Thing("一", {"a": "x" * 200}), Thing("two", {})], ("detail", "id"))

    head, first, second = capsys.readouterr().out.splitlines()
    assert first == '{"a":"' + "x" * 73 + "…  一"
    assert (head.index("ID"), second.index("two")) == (82, 82)
