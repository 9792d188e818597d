"""Lenient reading of JSON objects."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.model import NOWHERE
from syncd.errors import ProtocolError
from syncd.sources.fields import Fields, parse_cursor, parse_list, unique

Take = Callable[[Fields, str], Any]


@pytest.mark.parametrize(
    ("take", "value", "taken"),
    [
        (Fields.text, "", ""),
        (Fields.key, 42, "42"),
        (Fields.key, -(2**63), "-9223372036854775808"),
        (Fields.boolean, False, False),
        (Fields.integer, 2**63 - 1, 2**63 - 1),
        (Fields.integer, 3.0, 3),
        (Fields.real, 86, 86.0),
        (Fields.real, 0.91, 0.91),
        (Fields.time, "2026-06-12T08:30:00.000Z", "2026-06-12T08:30:00.000Z"),
        (Fields.time, "2026-06-30T08:30:00.123456Z", "2026-06-30T08:30:00.123Z"),
        (Fields.time, "2026-06-12T08:30:00+02:00", "2026-06-12T06:30:00.000Z"),
        (Fields.time, "2024-02-29T00:00:00.000Z", "2024-02-29T00:00:00.000Z"),
        (Fields.time, "2026-06-12", "2026-06-12T00:00:00.000Z"),
    ],
)
def test_understood(take: Take, value: object, taken: object) -> None:
    """A value of the expected type is taken and leaves nothing behind."""
    fields = Fields({"field": value}, "a thing")
    assert (take(fields, "field"), fields.extra()) == (taken, None)


@pytest.mark.parametrize(
    ("take", "value"),
    [
        (Fields.text, 5),
        (Fields.text, ["a"]),
        (Fields.key, True),
        (Fields.key, 2**63),
        (Fields.key, 1.5),
        (Fields.boolean, 1),
        (Fields.boolean, "true"),
        (Fields.integer, True),
        (Fields.integer, "7"),
        (Fields.integer, 2**63),
        (Fields.integer, 1e30),
        (Fields.integer, 1.5),
        (Fields.real, "86"),
        (Fields.real, True),
        (Fields.real, 2**60 + 1),
        (Fields.real, 10**400),
        (Fields.time, "2026-02-30T08:30:00.000Z"),
        (Fields.time, "2026-06-12T08:30:00.000Z\n"),
        (Fields.time, "yesterday"),
        (Fields.time, 1781253000),
        (Fields.time, "9999-12-31T23:59:59-23:00"),
    ],
)
def test_not_understood(take: Take, value: object) -> None:
    """A value of another type, or a time that can't be read, is None and stays under its own name in `extra`."""
    fields = Fields({"field": value}, "a thing")
    assert take(fields, "field") is None
    assert json.loads(fields.extra() or "") == {"field": value}


@pytest.mark.parametrize("take", [Fields.text, Fields.key, Fields.boolean, Fields.integer, Fields.real, Fields.time])
@pytest.mark.parametrize("body", [{}, {"field": None}])
def test_absent(take: Take, body: dict[str, Any]) -> None:
    """A field that is absent or null is None and leaves nothing behind."""
    fields = Fields(body, "a thing")
    assert (take(fields, "field"), fields.extra()) == (None, None)


def test_the_body_is_left_alone() -> None:
    """Reading a body does not change it."""
    body = {"field": "text"}
    Fields(body, "a thing").text("field")
    assert body == {"field": "text"}


def test_unknown_null_is_kept() -> None:
    """An unknown field is kept even when it is null."""
    assert Fields({"b": None, "a": {"é": 1.0}}, "a thing").extra() == '{"a":{"é":1.0},"b":null}'


@pytest.mark.parametrize("value", [None, "", True, 1.5, [], {}])
def test_missing_id(value: object) -> None:
    """An id that is missing, empty or neither text nor an integer is a ProtocolError that names the thing."""
    with pytest.raises(ProtocolError, match=r"a message (without|whose) id"):
        Fields({"id": value}, "a message").id()


@pytest.mark.parametrize("body", [None, [], "text", 5])
def test_no_object(body: object) -> None:
    """What is no object is a ProtocolError."""
    with pytest.raises(ProtocolError, match="a message that is no object"):
        Fields(body, "a message")


def test_groups() -> None:
    """What nobody took of a nested object comes back under its name; one that is no object stays whole."""
    fields = Fields({"bid": {"unit": "HOUR", "rate": 9}, "metrics": "none", "status": {"raw": "NEW"}}, "a thing")
    bid, metrics, status = (fields.group(name) for name in ("bid", "metrics", "status"))
    assert (bid.text("unit"), metrics.real("score"), status.text("raw")) == ("HOUR", None, "NEW")
    assert fields.extra(bid=bid, metrics=metrics, status=status) == '{"bid":{"rate":9},"metrics":"none"}'


def test_too_deep_to_write() -> None:
    """An object nested too deeply to be written again is a ProtocolError, not a RecursionError."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ProtocolError):
        Fields({"deep": deep}, "a thing").extra()


@pytest.mark.parametrize(
    ("body", "cursor"),
    [({}, None), ({"nextCursor": None}, None), ({"nextCursor": ""}, None), ({"nextCursor": 7}, "7"), ([], None)],
)
def test_cursor(body: object, cursor: str | None) -> None:
    """An absent, null or empty cursor is the end; a number becomes text."""
    assert parse_cursor(body) == cursor


@pytest.mark.parametrize("cursor", [True, 1.5, {"page": 2}, ["a"]])
def test_unusable_cursor(cursor: object) -> None:
    """A cursor that can't be sent back leads nowhere: taking it for the end would lose the rest."""
    assert parse_cursor({"nextCursor": cursor}) == NOWHERE
    assert parse_cursor({"nextCursor": False}) is None


def test_lists() -> None:
    """A list is found under any of its names, or bare."""
    assert parse_list({"jobs": [1]}, ("jobs", "items")) == [1]
    assert parse_list({"items": [2]}, ("jobs", "items")) == [2]
    assert parse_list([3], ("jobs", "items")) == [3]


@pytest.mark.parametrize("body", [{}, {"jobs": None}, {"jobs": {}}, None, "jobs", {"messages": []}])
def test_missing_list(body: object) -> None:
    """An answer that lacks its list is a ProtocolError, never an empty page."""
    with pytest.raises(ProtocolError, match="an answer without jobs"):
        parse_list(body, ("jobs", "items"))


def test_unique() -> None:
    """Of two rows with the same key the later stands, in the place of the earlier."""
    assert unique(["a1", "b1", "a2"], lambda row: row[0]) == ("a2", "b1")


@given(st.datetimes())
def test_times_in_our_form_are_real(moment: Any) -> None:
    """Every time in our own form is taken as it is, however the calendar falls."""
    text = moment.isoformat(timespec="milliseconds") + "Z"
    assert Fields({"at": text}, "a thing").time("at") == text
