"""Which texts opt out."""

import pytest

from relay.config import load
from relay.domain.suppressions import OptOutWords

WORDS = OptOutWords(load({}).opt_out_keywords)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("T", "T"),
        ("td", "TD"),
        ("ＴＤ。", "TD"),
        ("ｔｄ", "TD"),
        (" td ", "TD"),
        ("\u3000Td\u3000", "TD"),
        ("N", "N"),
        ("r\r\n", "R"),
        ("退订", "退订"),
        ("退订!", "退订"),
        ("“退订”", "退订"),
        ("【拒收】", "拒收"),
        ("拒收～～", "拒收"),
        ("\ufeffTD\u200b", "TD"),
        ("...TD...", "TD"),
        ("T D", "TD"),
        ("t\u200bd", "TD"),
        ("退 订", "退订"),
        ("TD\U0001f44d\U0001f3fd", "TD"),
        ("\u274c\ufe0f退订\U0001f64f", "退订"),
        ("退訂", "退訂"),
    ],
)
def test_a_text_that_is_a_word_opts_out(text: str, word: str) -> None:
    assert WORDS.find(text) == word


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "。",
        "Not",
        "TDD",
        "TD 好",
        "TD TD",
        "回复T退订",
        "\U0001f64f",
        "请退订",
        "退订吗",
        "不退订",
        "NR",
        "T1",
        "没收到",
        "Re",
    ],
)
def test_a_text_that_says_anything_else_does_not(text: str) -> None:
    assert WORDS.find(text) is None


def test_the_words_are_the_operators_and_as_forgiving() -> None:
    words = OptOutWords(load({"RELAY_OPT_OUT_KEYWORDS": "Ｓtop, ＱＸ"}).opt_out_keywords)

    assert [words.find(text) for text in ("STOP", "stop!", "qx", "TD")] == ["Ｓtop", "Ｓtop", "ＱＸ", None]


def test_a_comma_alone_is_no_word_at_all() -> None:
    assert load({"RELAY_OPT_OUT_KEYWORDS": ","}).opt_out_keywords == ()
