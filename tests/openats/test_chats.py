"""What happens in chats, and what the mirror makes of it."""

from collections.abc import Callable

import pytest

from syncd.simulator import Team
from team_rig import TeamRig

pytestmark = pytest.mark.anyio


def last_of(team: Team, kind: str, id: int) -> int:
    """The newest message of a chat."""
    return max(team.chat(kind, id).messages)


async def test_the_first_pass_is_exact_and_silent(rig: TeamRig) -> None:
    """After the first pass every chat, job and candidate is what the server shows, and no event was written."""
    outcome = await rig.poll()
    assert (outcome.account_state.state, rig.differences(), rig.events()) == ("ok", [], [])


async def test_rows_read_as_the_contract_says(rig: TeamRig) -> None:
    """Chats have no counts, candidates keep nothing but their names, and the views show both kinds."""
    rig.team.say("candidate", 1, "Strong on system design", sender=3)
    await rig.poll()
    (row,) = rig.rows("SELECT * FROM inbox WHERE conversation_id = 'candidate:1'")
    assert (row["title"], row["candidate_name"], row["candidate_id"]) == ("Ada Lovelace", "Ada Lovelace", "1")
    assert (row["job_title"], row["last_sender"], row["last_message"]) == (
        "Backend engineer",
        "Mike",
        "Strong on system design",
    )
    assert (row["unread_count"], row["needs_reply_count"], row["waiting_seconds"]) == (None, None, None)
    assert {row["direction"] for row in rig.rows("SELECT direction FROM thread")} == {"internal", "system"}
    assert rig.scalar("SELECT group_concat(extra) FROM candidates") is None


async def test_a_new_message_is_told_once(rig: TeamRig) -> None:
    """A message that comes after the first pass is one message.new, however often the chat is looked at."""
    await rig.poll()
    number = rig.team.say("job", 1, "hello")
    await rig.poll(after=60)
    assert [(e["kind"], e["message_id"], e["is_from_viewer"]) for e in rig.new_events()] == [
        ("message.new", f"job:{number}", None)
    ]
    await rig.poll(full=True)
    assert rig.new_events() == []


async def test_a_late_commit_of_a_lower_id_is_found(rig: TeamRig) -> None:
    """A message that appears under a lower id than one already seen, and backdated too, is stored and told."""
    late = rig.team.reserve("job")
    rig.team.say("job", 1, "committed first")
    await rig.poll()
    rig.team.say("job", 1, "committed late", number=late, sent_at="2026-06-01T00:00:00Z")
    await rig.poll(after=60)
    assert [e["message_id"] for e in rig.new_events("message.new")] == [f"job:{late}"]
    assert rig.differences() == []


async def test_an_edit_keeps_the_old_text(rig: TeamRig) -> None:
    """An edited message is one message.edited, and its old text is the revision."""
    await rig.poll()
    number = last_of(rig.team, "job", 1)
    rig.team.edit("job", 1, number, "now it says this")
    await rig.poll(after=60)
    assert [e["kind"] for e in rig.new_events()] == ["message.edited"]
    assert rig.rows("SELECT message_id, revision, content FROM message_revisions") == [
        {"message_id": f"job:{number}", "revision": 1, "content": "message 9"}
    ]
    assert rig.differences() == []


async def test_a_renamed_sender_is_no_edit(rig: TeamRig) -> None:
    """A rename shows on every old message, and is neither an event nor a revision."""
    await rig.poll()
    rig.team.rename_user(2, "Sally")
    await rig.poll(after=60)
    assert (rig.new_events(), rig.rows("SELECT * FROM message_revisions"), rig.differences()) == ([], [], [])


async def test_ties_in_another_order_change_nothing(rig: TeamRig) -> None:
    """Messages of one moment that come in another order bring a body, and no row."""
    for n in range(6):
        rig.team.say("job", 1, f"tied {n}", sent_at=rig.clock.time)
    await rig.poll()
    before = rig.team.history("job", 1)
    while rig.team.history("job", 1) == before:
        rig.team.shuffle_ties()
    outcome = await rig.poll(after=60)
    assert (rig.sim.requests.count(path="/chat/job/1$", status=200), outcome.cost.rows) == (1, 0)


async def test_a_deleted_message_goes_and_comes_back(rig: TeamRig) -> None:
    """A soft-deleted message bears gone_at and one event; back under its id it has none, and one event."""
    await rig.poll()
    number = last_of(rig.team, "job", 1)
    rig.team.hide("job", 1, number)
    await rig.poll(after=60)
    assert [(e["kind"], e["message_id"]) for e in rig.new_events()] == [("message.deleted", f"job:{number}")]
    assert rig.differences() == []
    rig.team.hide("job", 1, number, hidden=False)
    await rig.poll(after=60)
    assert [e["kind"] for e in rig.new_events()] == ["message.restored"]
    assert rig.differences() == []


async def test_an_emptied_chat_is_not_gone(rig: TeamRig) -> None:
    """An empty answer whose job is there means that every message was deleted, once the job has said so."""
    await rig.poll()
    for number in rig.team.chat("job", 1).messages:
        rig.team.hide("job", 1, number)
    await rig.poll(after=60)
    assert rig.sim.requests.count(path="/jobs/1$") == 1
    assert rig.events() == []  # ten of forty messages: a large loss, which wants a second look
    await rig.poll(after=601)
    assert [e["kind"] for e in rig.new_events()] == ["message.deleted"] * 10
    assert rig.differences() == []


async def test_a_deleted_candidate_takes_no_messages_along(rig: TeamRig) -> None:
    """A chat whose candidate is gone is gone too, and its messages stay as they were; restored, it returns."""
    await rig.poll()
    candidate = rig.team.chat("candidate", 1)
    rig.team.delete("candidate", 1)
    await rig.poll(after=60)
    assert [(e["kind"], e["conversation_id"]) for e in rig.new_events()] == [("conversation.gone", "candidate:1")]
    assert rig.scalar("SELECT COUNT(*) FROM messages WHERE gone_at IS NOT NULL") == 0
    assert rig.scalar("SELECT gone_at FROM candidates WHERE id = '1'") is not None
    rig.team.restore("candidate", 1, candidate)
    await rig.poll(after=601)
    assert [e["kind"] for e in rig.new_events()] == ["conversation.returned"]
    assert rig.differences() == []


async def test_an_empty_chat_whose_job_is_deleted_is_gone(rig: TeamRig) -> None:
    """Where there is no message to miss, the lists tell: the next reading finds that the job is not there."""
    job = rig.team.new_job("Nobody talks about it")
    await rig.poll()
    rig.team.delete("job", job)
    await rig.poll(after=601)
    assert [(e["kind"], e["conversation_id"]) for e in rig.new_events()] == [("conversation.gone", f"job:{job}")]


async def test_a_new_job_is_found_with_its_news(rig: TeamRig) -> None:
    """A job that is posted later is a new conversation within ten minutes; what was said since then is told."""
    await rig.poll()
    job = rig.team.new_job("Posted later")
    rig.team.say("job", job, "older than the job itself", sent_at="2026-01-01T00:00:00Z")
    number = rig.team.say("job", job, "first words")
    await rig.poll(after=601)
    assert [(e["kind"], e["message_id"]) for e in rig.new_events()] == [
        ("conversation.new", None),
        ("message.new", f"job:{number}"),
    ]
    assert rig.differences() == []


async def test_what_comes_during_the_first_pass_is_told(rig: TeamRig) -> None:
    """A message that arrives after the first answer of the first pass is no history."""
    told: list[int] = []

    def speak(record: object) -> None:
        if "/chat/" in str(record) and not told:
            rig.clock.advance(5)
            told.append(rig.team.say("candidate", 2, "right in between"))

    rig.sim.on_request = speak
    await rig.poll()
    await rig.poll(after=60)
    assert [e["message_id"] for e in rig.events("message.new")] == [f"candidate:{told[0]}"]


@pytest.mark.parametrize(
    "change",
    [
        lambda team: setattr(team, "milliseconds", False),
        lambda team: setattr(team, "documented", True),
        lambda team: setattr(team, "full_names", True),
        lambda team: team.say("job", 1, None),
        lambda team: team.say("job", 1, ""),
        lambda team: team.say("job", 1, "from another zone", sent_at="2026-06-12T23:59:59Z"),
    ],
)
async def test_odd_answers_are_mirrored_as_they_are(rig: TeamRig, change: Callable[[Team], object]) -> None:
    """Times without milliseconds or in the future, null texts and senders, and other names: all exact, none is news."""
    change(rig.team)
    await rig.poll()
    assert (rig.differences(), rig.events()) == ([], [])


async def test_a_recreated_server_does_not_erase_at_once(rig: TeamRig) -> None:
    """When everything is missing at once, nothing is marked before a second look ten minutes later agrees."""
    await rig.poll()
    for kind, id_ in (("candidate", 1), ("candidate", 2), ("job", 1), ("job", 2)):
        rig.team.delete(kind, id_)
    await rig.poll(manual=True)
    assert rig.scalar("SELECT COUNT(*) FROM conversations WHERE gone_at IS NOT NULL") == 0
    assert "4 conversations" in rig.scalar("SELECT json_extract(state, '$.loss_guard') FROM _accounts")
    await rig.poll(after=300)
    assert rig.events() == []
    await rig.poll(after=301)
    assert [e["kind"] for e in rig.events()] == ["conversation.gone"] * 4
    assert rig.scalar("SELECT json_extract(state, '$.loss_guard') FROM _accounts") is None


async def test_a_large_loss_that_was_a_mistake_leaves_no_trace(rig: TeamRig) -> None:
    """Messages that were missing once, and are back at the second look, were never gone."""
    await rig.poll()
    numbers = list(rig.team.chat("job", 1).messages)
    for number in numbers[1:]:
        rig.team.hide("job", 1, number)
    await rig.poll(after=60)
    for number in numbers[1:]:
        rig.team.hide("job", 1, number, hidden=False)
    rig.team.say("job", 1, "still here")
    await rig.poll(after=300)
    await rig.poll(after=601)
    await rig.poll(full=True)
    assert {e["kind"] for e in rig.events()} == {"message.new"}
    assert rig.differences() == []


async def test_a_crash_is_no_second_look(rig: TeamRig) -> None:
    """A large loss whose round broke off is still looked at twice, however late the next process begins."""
    rig.change_concurrency(1)
    await rig.poll()
    for number in rig.team.chat("candidate", 1).messages:
        rig.team.hide("candidate", 1, number)
    rig.sim.faults.rate_limit(retry_after=600, where="header", path="/chat/job/2$")
    assert (await rig.poll(after=61)).account_state.state == "rate_limited"
    assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 10
    await rig.restart()
    await rig.poll(after=3600)
    assert rig.events("message.deleted") == []
    await rig.poll(after=601)
    assert len(rig.new_events("message.deleted")) == 10
