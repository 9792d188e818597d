import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.tokenizer import find_matches, join_words, parse_query, split_words


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("Crème Brûlée", "creme", ["Crème"]),
        ("creme", "CRÈME", ["creme"]),
        ("Cre\u0300me", "crème", ["Cre\u0300me"]),
        ("Straße", "STRASSE", ["Straße"]),
        ("私は日本語を勉強", "日本", ["日本"]),
        ("私は日本語を勉強", "本語", ["本語"]),
        ("私は日本語を勉強", "強", ["強"]),
        ("私は日本語を勉強", "日語", []),
        ("他在北京工作", "北京", ["北京"]),
        ("한국어를 배워요", "국어", ["국어"]),
        ("สวัสดีครับ", "ครับ", ["ครับ"]),
        ("مَرْحَبًا بكم", "مرحبا", ["مَرْحَبًا"]),
        ("أهلاً وسهلاً", "اهلا", ["أهلاً"]),
        ("שָׁלוֹם", "שלום", ["שָׁלוֹם"]),
        ("हिन्दी भाषा", "हिन्दी", ["हिन्दी"]),
        ("हिन्दी भाषा", "हनद", []),
        ("ＡＢＣ", "abc", ["ＡＢＣ"]),  # noqa: RUF001 - full-width letters
        ("ｶﾞｲﾄﾞ", "ガイド", ["ｶﾞｲﾄﾞ"]),
        ("well done 👍", "👍", ["👍"]),
        ("Python開発者です", "python開発", ["Python開発"]),
        ("to be or not", '"be or"', ["be or"]),
        ("to be or not", '"or be"', []),
        ("interviews", "interv*", ["interviews"]),
        ("interviews", "interv", []),
        ("snake_case", "case", ["case"]),
    ],
)
def test_every_script_is_found_and_marked(text: str, query: str, marked: list[str]) -> None:
    """Case, accents, vowel signs, width and spaces between words don't matter; other letters do."""
    assert [text[start:end] for start, end in find_matches(text, parse_query(query))] == marked


@given(st.text())
def test_words_stand_in_the_text(text: str) -> None:
    """Every word has its place in the text, none is empty, and none holds a space."""
    for token in split_words(text):
        assert 0 <= token.start < token.end <= len(text)
        assert token.word
        assert token.word.split() == [token.word]


@given(st.text(alphabet="日本語abc é", min_size=1), st.data())
def test_any_piece_of_a_text_finds_it(text: str, data: st.DataObject) -> None:
    """Whatever is cut out of a text at the ends of its words is found in it."""
    tokens = [token for token in split_words(text) if token.word]
    if tokens:
        first = data.draw(st.sampled_from(tokens))
        last = data.draw(st.sampled_from([token for token in tokens if token.end >= first.end]))
        piece = text[first.start : last.end]
        assert find_matches(text, parse_query(f'"{piece}"'))


def test_plain_text_is_indexed_as_it_is() -> None:
    """ASCII text costs nothing: the index cuts it itself."""
    assert join_words("Hello, World") == "Hello, World"


@given(st.text() | st.text(alphabet="日本語ガｶﾞかっ゙한국ᄒ\u1161\u11abสวัสดี abcÉé½…👍\u0301—مَ"))
def test_the_index_takes_the_words_that_are_searched_by(text: str) -> None:
    """Joined words are those that a search splits a text into, whatever the short way to them."""
    expected = [token.word for token in split_words(text)]
    assert join_words(text) == (text if text.isascii() else " ".join(expected))
