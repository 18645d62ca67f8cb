import pytest

from relay.domain.signatures import SecondSignature, sign

OURS = "【示例】"


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("hello", "【示例】hello"),
        ("【示例】hello", "【示例】hello"),
        (" \n【示例】hello", "【示例】hello"),
        ("【示例】", "【示例】"),
        ("【open", "【示例】【open"),
        ("open】", "【示例】open】"),
        ("[别人]hello", "【示例】[别人]hello"),
        ("〔别人〕hello「别人」", "【示例】〔别人〕hello「别人」"),
        ("code【482913】, good for 5 minutes", "【示例】code【482913】, good for 5 minutes"),
        ("【示例】code【482913】, good for 5 minutes", "【示例】code【482913】, good for 5 minutes"),
        ("read this: 【" + "长" * 31 + "】", "【示例】read this: 【" + "长" * 31 + "】"),
    ],
)
def test_the_signature_stands_in_front_once(text: str, signed: str) -> None:
    assert sign(text, OURS) == signed


@pytest.mark.parametrize(
    "text",
    [
        "【别人】hello",
        " 【别人】hello",
        "【】hello",
        "【示例】【别人】hello",
        "【示例】 【别人】hello",
        "【示例】【示例】hello",
        "【示例二】hello",
        "hello【别人】",
        "hello【别人】 \n",
        "hello【示例】",
        "【示例】hello【别人】",
        "【别人】",
    ],
)
def test_a_second_signature_is_refused(text: str) -> None:
    with pytest.raises(SecondSignature, match=OURS):
        sign(text, OURS)


@pytest.mark.parametrize("text", ["hello", "【别人】hello", "hello【别人】", "【一】【二】hello"])
def test_a_team_without_a_signature_writes_its_own(text: str) -> None:
    assert sign(text, None) == text
