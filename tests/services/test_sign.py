import pytest

from relay.domain.errors import BodyInvalid
from relay.services.accept import sign


@pytest.mark.parametrize(
    ("text", "signature", "signed"),
    [
        ("hello", None, "hello"),
        ("【别人】hello", None, "【别人】hello"),
        ("hello", "【示例】", "【示例】hello"),
        ("【示例】hello", "【示例】", "【示例】hello"),
        ("hello【别人】", "【示例】", "【示例】hello【别人】"),
        ("【open", "【示例】", "【示例】【open"),
    ],
)
def test_the_signature_stands_in_front_once(text: str, signature: str | None, signed: str) -> None:
    assert sign(text, signature) == signed


def test_somebody_elses_signature_is_refused() -> None:
    with pytest.raises(BodyInvalid) as refused:
        sign("【别人】hello", "【示例】")

    assert [error.pointer for error in refused.value.errors] == ["/text"]
