import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.cli.terminal import escape_json, make_safe


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bcreset", "reset"),
        ("a\x1b", "a"),
        ("a\x9b2Jb\x00\x7f\x85c", "a2Jb c"),
        ("a\tb\r\nc\u2028d", "a b c d"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("مرحبا שלום 日本語 👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 می‌خواهم", "مرحبا שלום 日本語 👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 می‌خواهم"),
        ("half \ud83d", "half \ufffd"),
    ],
)
def test_what_steers_a_terminal_is_dropped_and_text_stays(text: str, shown: str) -> None:
    """Escape sequences, controls, overrides and isolates go; letters of every script and emoji are untouched."""
    assert make_safe(text) == shown


def test_line_breaks_stay_where_the_layout_has_room() -> None:
    """With `newlines`, every kind of line break is a plain one."""
    assert make_safe("a\r\nb\rc\u2029d", newlines=True) == "a\nb\nc\nd"


@given(st.text())
def test_nothing_unsafe_is_left_of_any_text(text: str) -> None:
    """Whatever comes, no control character, override or isolate remains, and a second cleaning changes nothing."""
    shown = make_safe(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert make_safe(shown) == shown
    shown.encode()


@given(st.text(st.characters(exclude_categories=[])))
def test_json_is_exact_and_steers_nothing(text: str) -> None:
    """Escaped JSON reads back as the same text, halves of surrogate pairs included, and holds no control character."""
    written = escape_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(written) == text
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in written)
    written.encode()
