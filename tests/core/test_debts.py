"""Debts, counts and the guard: tables of cases."""

from typing import Any

import pytest

from syncd.core.conversation import keep_newest
from syncd.core.deletions import is_large
from syncd.core.model import Conversation
from syncd.core.plan import PendingTask, merged_extra, renewed
from syncd.core.walk import Fresh, Reason

EARLY, LATE = "2026-06-12T09:00:00.000Z", "2026-06-12T10:00:00.000Z"


def pending(due_at: str, version: int = 0, **reason: Any) -> PendingTask:
    """A conversation's debt."""
    return PendingTask(kind="conversation", subject_id="c", due_at=due_at, version=version, reason=Reason(**reason))


def test_first_debt() -> None:
    """A debt that is new gets the version 1."""
    assert renewed(None, pending(LATE)) == pending(LATE, 1)


def test_debt_joins_debt() -> None:
    """Two debts are one: due at the earlier time, with the newer entry, and everything that either wants."""
    old, new = Conversation(id="c", unread_count=1), Conversation(id="c", unread_count=2)
    joined = renewed(pending(EARLY, 3, entry=old, verify=True, first_pass=True), pending(LATE, entry=new, want="m"))
    assert joined == pending(EARLY, 4, entry=new, verify=True, want="m", first_pass=True)
    assert renewed(pending(LATE, 3, entry=old), pending(EARLY)) == pending(EARLY, 4, entry=old)


def test_debt_replaces_its_origin() -> None:
    """A debt made from the held one takes its place: that is how one is put off, or loses a want."""
    assert renewed(pending(EARLY, 3, verify=True, want="m"), pending(LATE, 3)) == pending(LATE, 4)


def test_stale_debt_joins() -> None:
    """One made from an older version does not undo what came between."""
    assert renewed(pending(EARLY, 4, verify=True), pending(LATE, 3)) == pending(EARLY, 5, verify=True)


@pytest.mark.parametrize(
    ("lost", "of", "large"),
    [
        (0, 0, False),
        (0, 9, False),
        (1, 1, True),
        (1, 2, False),
        (5, 6, False),
        (6, 6, True),
        (6, 29, True),
        (6, 30, False),
    ],
)
def test_large_loss(lost: int, of: int, *, large: bool) -> None:
    """All of them, or over a fifth and over five."""
    assert is_large(lost, of) is large


def fresh(number: int) -> Fresh:
    """An inbound message at a minute's place."""
    return Fresh(at=f"2026-06-12T09:{number:02}:00.000Z", id=f"m{number}", history=False)


@pytest.mark.parametrize(
    ("numbers", "last", "kept"),
    [
        ([], 5, []),
        ([1, 2, 3], 5, [3]),
        ([3, 1, 2], 2, [2, 3]),
        ([6, 7], 5, [7]),
        ([1, 2, 6, 7], 5, [2, 7]),
        ([4, 9], None, [9]),
    ],
)
def test_keep_newest(numbers: list[int], last: int | None, kept: list[int]) -> None:
    """Of what is counted and of what is not yet, only the newest is remembered."""
    place = None if last is None else fresh(last).place
    assert keep_newest(tuple(fresh(n) for n in numbers), place) == tuple(fresh(n) for n in kept)


@pytest.mark.parametrize(
    ("held", "new", "merged"),
    [
        (None, None, None),
        ('{"a":1}', None, '{"a":1}'),
        (None, '{"a":1}', '{"a":1}'),
        ('{"a":1,"b":2}', '{"a":3}', '{"a":3,"b":2}'),
    ],
)
def test_merged_extra(held: str | None, new: str | None, merged: str | None) -> None:
    """What a partial answer leaves out stays."""
    assert merged_extra(held, new) == merged
