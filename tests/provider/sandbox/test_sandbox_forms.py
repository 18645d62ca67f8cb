"""Form bodies are read as a form parser reads them, only faster."""

from urllib.parse import parse_qsl, urlencode

from hypothesis import given
from hypothesis import strategies as st

from relay.provider.sandbox.forms import parse_form

_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(_TEXT.filter(bool), _TEXT))
def test_what_was_encoded_is_read_back(fields: dict[str, str]) -> None:
    assert parse_form(urlencode(fields).encode()) == fields


@given(st.text(alphabet="ab=&+%2Cc,5 ", max_size=60))
def test_any_body_is_read_as_the_standard_library_reads_it(body: str) -> None:
    assert parse_form(body.encode()) == {name: value for name, value in parse_qsl(body, keep_blank_values=True) if name}


def test_bytes_that_are_not_utf_8_stay_visible() -> None:
    assert parse_form(b"content=%B9%FA") == {"content": "\ufffd\ufffd"}
