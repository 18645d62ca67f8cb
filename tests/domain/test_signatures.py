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
        ("验证码【482913】", "【示例】验证码【482913】"),
        ("【示例】验证码【482913】\n", "【示例】验证码【482913】\n"),
        ("【482913】是您的验证码", "【示例】【482913】是您的验证码"),
        ("应付【¥99.00】", "【示例】应付【¥99.00】"),
        ("\ufeff【示例】hello", "【示例】hello"),
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
        "hello【别人】\u200b",
        "\u200b【别人】hello",
        "【示例】\ufeff【别人】hello",
        "hello【12306客服】",
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


def test_a_signature_without_letters_is_still_the_teams_own() -> None:
    assert [sign(text, "【95588】") for text in ("hello", "【95588】hello")] == ["【95588】hello"] * 2
    with pytest.raises(SecondSignature):
        sign("【95588】【95588】hello", "【95588】")
    with pytest.raises(SecondSignature):
        sign("hello【95588】", "【95588】")
