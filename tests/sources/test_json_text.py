"""JSON that real servers write."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.sources.fields import parse_json, render_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"\udc00 and \ud83d\ude00"', "\ufffd and 😀"),
        (rb'{"\ud83d": ["\ud83d"]}', {"\ufffd": ["\ufffd"]}),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"\xef\xbb\xbf{}", {}),
        (b'"caf\xe9"', "caf\ufffd"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
    ],
)
def test_odd_json(body: bytes, value: object) -> None:
    """Lone surrogates and bytes that are no UTF-8 become U+FFFD; the rest is read as it is meant."""
    assert parse_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b'{"messages": [',
        b"[" * 100_000,
    ],
    ids=range(4),
)
def test_no_json(body: bytes) -> None:
    """What is no JSON is a ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"^.*"):
        parse_json(body)


@pytest.mark.parametrize(
    "odd", ["NaN", "-Infinity", "1e999", "9" * 5000, "[" * 5000 + "]" * 5000, '{"a":' * 5000 + "1" + "}" * 5000]
)
def test_a_value_that_is_none_costs_itself(odd: str) -> None:
    """A number that is none, and what is nested too deeply, is not finite; all beside it is read as it is meant."""
    read = parse_json(f'{{"a": [1, {odd}, "[\\"{{"], "b": {{"c": "d"}}}}'.encode())
    (one, none, text), rest = read["a"], read["b"]
    assert (one, text, rest) == (1, '["{', {"c": "d"})
    while isinstance(none, list | dict):
        none = none[0] if isinstance(none, list) else none["a"]
    assert not math.isfinite(none)


@given(json_values)
def test_rendering_is_canonical(value: object) -> None:
    """Rendered JSON reads back as the same value, and reading and rendering again changes nothing."""
    text = render_json(value)
    again = parse_json(text.encode())
    assert render_json(again) == text
    assert again == value


def test_rendering_form() -> None:
    """Keys are sorted, there are no spaces, and every script stands as itself."""
    assert render_json({"b": [1, None], "a": "žluťoučký 😀"}) == '{"a":"žluťoučký 😀","b":[1,null]}'
