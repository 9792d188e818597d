"""How long somebody waits, `inbox.waiting_seconds`, on rows that break naive SQL."""

from collections.abc import Callable
from typing import Any

import pytest

Insert = Callable[..., None]
Query = Callable[..., list[dict[str, Any]]]
Ago = Callable[[float], str]


@pytest.fixture
def waiting(insert: Insert, query: Query) -> Callable[[], float | None]:
    """How long conversation `c` waits, in seconds; call it once the messages are there."""
    insert("conversations", id="c", needs_reply_count=1)
    return lambda: query("SELECT waiting_seconds FROM inbox WHERE conversation_id = 'c'")[0]["waiting_seconds"]


def test_waits_since_the_first_of_several_inbound(say: Insert, waiting: Callable[[], float]) -> None:
    """Several inbound messages in a row are one wait, which began with the first after our last message."""
    say("in", "m1", 9000)
    say("out", "m2", 8000)
    for number, seconds in enumerate((600, 300, 60)):
        say("in", f"n{number}", seconds)
    assert waiting() == pytest.approx(600, abs=5)


def test_waits_since_the_threads_start(say: Insert, waiting: Callable[[], float]) -> None:
    """Without any message of ours the wait began with the first inbound message."""
    say("in", "m1", 900)
    say("in", "m2", 600)
    assert waiting() == pytest.approx(900, abs=5)


def test_an_answered_thread_waits_for_nothing(say: Insert, waiting: Callable[[], float | None]) -> None:
    """After our message nobody waits, and in a thread where only we wrote neither."""
    say("out", "m0", 700)
    assert waiting() is None
    say("in", "m1", 600)
    say("out", "m2", 500)
    assert waiting() is None


def test_an_empty_conversation_waits_for_nothing(waiting: Callable[[], float | None]) -> None:
    """Without messages there is no wait."""
    assert waiting() is None


def test_system_messages_neither_ask_nor_answer(say: Insert, waiting: Callable[[], float | None]) -> None:
    """A system message begins no wait and ends none, whoever it is said to be from."""
    say("out", "m1", 900)
    say("system", "m2", 800)
    assert waiting() is None
    say("in", "m3", 700)
    say("system", "m4", 600, is_from_viewer=1)
    assert waiting() == pytest.approx(700, abs=5)


def test_gone_messages_count_in_no_wait(say: Insert, waiting: Callable[[], float | None], ago: Ago) -> None:
    """A deleted question waits no longer, and a deleted answer has answered nothing."""
    say("in", "m1", 900)
    say("out", "m2", 800, gone_at=ago(1))
    say("in", "m3", 700)
    assert waiting() == pytest.approx(900, abs=5)
    say("out", "m4", 600)
    say("in", "m5", 500, gone_at=ago(1))
    assert waiting() is None


def test_ids_decide_between_equal_times(insert: Insert, query: Query, ago: Ago) -> None:
    """Of two messages of one instant the one with the higher id came later."""
    moment = ago(100)
    for conversation, asked, answered in (("answered", "a", "b"), ("open", "b", "a")):
        insert("conversations", id=conversation)
        for id, ours in ((f"{conversation}-{asked}", 0), (f"{conversation}-{answered}", 1)):
            insert("messages", id=id, conversation_id=conversation, created_at=moment, is_from_viewer=ours, is_system=0)
    found = {row["conversation_id"]: row["waiting_seconds"] for row in query("SELECT * FROM inbox")}
    assert found["answered"] is None
    assert found["open"] == pytest.approx(100, abs=5)


def test_messages_without_a_time_are_in_no_turn(say: Insert, waiting: Callable[[], float | None]) -> None:
    """A message whose time could not be read neither asks nor answers."""
    say("in", "m1", None)
    say("out", "m2", None)
    assert waiting() is None
    say("in", "m3", 50)
    assert waiting() == pytest.approx(50, abs=5)


def test_a_message_from_the_future_waits_no_time(say: Insert, waiting: Callable[[], float | None]) -> None:
    """Where the server's clock is ahead of ours a wait is 0, not negative."""
    say("in", "m1", -60)
    assert waiting() == 0


@pytest.mark.parametrize("values", [{"channel_name": "general"}, {"account": "ats"}])
def test_only_two_sided_conversations_wait(insert: Insert, say: Insert, query: Query, values: dict[str, str]) -> None:
    """In channels, and on OpenATS, nobody waits."""
    insert("conversations", id="c", **values)
    say("in", "m1", 600, account=values.get("account", "ot"))
    assert query("SELECT waiting_seconds FROM inbox") == [{"waiting_seconds": None}]
