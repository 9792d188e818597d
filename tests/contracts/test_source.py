"""What every source has to pass: the mirror is exact, tells everything once, and survives what servers do."""

import asyncio
from typing import Any

import pytest

from contract_servers import Server

pytestmark = pytest.mark.anyio


def kinds(server: Server, *wanted: str) -> list[tuple[str, str]]:
    """The events of the last poll, each with what it is about."""
    events = server.rig.new_events(*wanted)
    return [(e["kind"], e["message_id"] or e["conversation_id"]) for e in events]


MESSAGES = ("message.new", "message.edited", "message.deleted", "message.restored")
CHATS = ("conversation.new", "conversation.gone", "conversation.returned")


async def test_the_first_pass_is_exact_and_silent(server: Server) -> None:
    """After the first pass the mirror is the truth, the account is ok, and history made no noise."""
    outcome = await server.rig.poll()
    assert (outcome.account_state.state, server.rig.differences()) == ("ok", [])
    assert kinds(server, *MESSAGES, *CHATS) == []


async def test_a_new_message_is_told_once(server: Server) -> None:
    """What is said is stored and told at the next poll, and never again."""
    await server.rig.poll()
    message = server.say(server.chats[1], "hello")
    await server.rig.poll(after=61)
    assert kinds(server, *MESSAGES) == [("message.new", message)]
    await server.rig.quiet(full=True)
    assert [e["message_id"] for e in server.rig.events("message.new")] == [message]
    assert server.rig.differences() == []


async def test_an_edit_is_told_once_with_its_revision(server: Server) -> None:
    """An edit is one event, and the text it replaced is kept."""
    message = server.say(server.chats[0], "before")
    await server.rig.poll()
    server.edit(server.chats[0], message, "after")
    await server.rig.poll(after=61)
    await server.rig.quiet(full=True)
    assert [e["message_id"] for e in server.rig.events("message.edited")] == [message]
    assert [row["content"] for row in server.rig.rows("SELECT content FROM message_revisions")] == ["before"]
    assert server.rig.differences() == []


async def test_a_deletion_is_found_by_a_comparison(server: Server) -> None:
    """A message that vanished bears gone_at, keeps its text, and is told once; back, it is as before."""
    message = server.say(server.chats[2], "here today")
    await server.rig.poll()
    server.delete(server.chats[2], message)
    await server.rig.poll(full=True)
    assert kinds(server, *MESSAGES) == [("message.deleted", message)]
    (row,) = server.rig.rows("SELECT content, gone_at FROM messages WHERE id = ?", message)
    assert (row["content"], row["gone_at"] is None) == ("here today", False)
    server.restore(server.chats[2], message)
    await server.rig.poll(full=True)
    assert kinds(server, *MESSAGES) == [("message.restored", message)]
    assert server.rig.differences() == []


async def test_a_chat_goes_and_returns(server: Server) -> None:
    """A chat that is gone is told once, its messages stay as they were; back, it returns."""
    await server.rig.poll()
    chat = server.chats[4]
    server.remove(chat)
    await server.rig.poll(full=True)
    assert kinds(server, *MESSAGES, *CHATS) == [("conversation.gone", chat)]
    assert server.rig.scalar("SELECT COUNT(*) FROM messages WHERE gone_at IS NOT NULL") == 0
    server.bring_back(chat)
    await server.rig.poll(full=True)
    assert kinds(server, *CHATS) == [("conversation.returned", chat)]
    await server.rig.quiet(full=True)
    assert server.rig.differences() == []


async def test_a_new_chat_is_told_with_its_message(server: Server) -> None:
    """A chat that begins later is new, and so is what is said in it."""
    await server.rig.poll()
    chat = server.new_chat()
    message = server.say(chat, "first words")
    await server.rig.poll(full=True)
    assert kinds(server, *MESSAGES, *CHATS) == [("conversation.new", chat), ("message.new", message)]


async def test_one_failing_chat_holds_up_no_other(server: Server) -> None:
    """A chat that the server fails on is a row in failures; the others are mirrored, and it is too, once it can be."""
    await server.rig.poll()
    server.rig.sim.faults.status(500, times=None, **server.only(server.chats[0]))
    for chat in server.chats[:3]:
        server.say(chat, "news")
    outcome = await server.rig.poll(after=61)
    assert (outcome.account_state.state, list(server.rig.failures())) == ("ok", [("conversation", server.chats[0])])
    assert len(server.rig.new_events("message.new")) == 2
    server.rig.sim.faults.clear()
    await server.rig.poll(after=61)
    await server.rig.poll(after=61)
    assert (server.rig.failures(), len(server.rig.events("message.new"))) == ({}, 3)
    assert server.rig.differences() == []


async def test_an_outage_is_one_event_each_way(server: Server) -> None:
    """A server that is away is unreachable, then ok, and nothing that was said meanwhile is lost."""
    await server.rig.poll()
    server.rig.sim.pause()
    assert (await server.rig.poll(after=61)).account_state.state == "unreachable"
    assert (await server.rig.poll()).account_state.state == "unreachable"
    message = server.say(server.chats[3], "while it was away")
    server.rig.sim.resume()
    assert (await server.rig.poll(after=61)).account_state.state == "ok"
    assert [e["kind"] for e in server.rig.events("account.degraded", "account.recovered")] == [
        "account.degraded",
        "account.recovered",
    ]
    assert [e["message_id"] for e in server.rig.events("message.new")] == [message]


async def test_an_outage_during_the_first_pass_is_made_good(server: Server) -> None:
    """A first pass that breaks off goes on where it was, and is exact and silent in the end."""
    fault = server.rig.sim.faults.status(503, times=None, skip=4)
    assert (await server.rig.poll()).account_state.state == "unreachable"
    fault.times = 0
    await server.rig.quiet()
    await server.rig.poll(after=301)
    assert server.rig.differences() == []
    assert server.rig.events(*MESSAGES, *CHATS) == []


@pytest.mark.parametrize("fault", ["html", "cut_json", "truncate", "reset", "reset_midway"])
async def test_a_passing_fault_is_not_even_seen(server: Server, fault: str) -> None:
    """A single broken answer is asked for again at once."""
    await server.rig.poll()
    server.say(server.chats[1], "hello")
    getattr(server.rig.sim.faults, fault)(times=1)
    outcome = await server.rig.poll(after=61)
    assert (outcome.account_state.state, server.rig.differences(), server.rig.failures()) == ("ok", [], {})


async def test_a_short_wait_is_sat_out(server: Server) -> None:
    """A 429 of a few seconds is waited for inside the poll, which then is whole."""
    await server.rig.poll()
    server.say(server.chats[1], "hello")
    server.rig.sim.faults.rate_limit(retry_after=7, where="header")
    outcome = await server.rig.poll(after=61)
    assert (outcome.account_state.state, server.rig.differences()) == ("ok", [])
    assert 7 in server.rig.clock.slept


async def test_a_long_wait_is_kept_across_a_restart(server: Server) -> None:
    """A 429 of ten minutes ends the poll, and until it is over a new process asks nothing."""
    await server.rig.poll()
    server.rig.sim.faults.rate_limit(retry_after=600, where="header")
    assert (await server.rig.poll(after=61)).account_state.state == "rate_limited"
    await server.rig.restart()
    assert (await server.rig.poll()).account_state.state == "rate_limited"
    assert len(server.rig.sim.requests) == 0
    assert (await server.rig.poll(after=600)).account_state.state == "ok"


async def test_a_poll_broken_off_anywhere_loses_and_doubles_nothing(server: Server) -> None:
    """Ended at its nth request, whichever that is, a first pass goes on in a new process to the same end."""
    for n in range(1, 40):
        if not await broken_off(server, n):
            break
    await server.rig.quiet()
    assert server.rig.differences() == []
    assert server.rig.events(*MESSAGES, *CHATS) == []


async def test_news_broken_off_anywhere_is_told_once(server: Server) -> None:
    """Ended at its nth request, whichever that is, a poll that brings news tells it once all the same."""
    await server.rig.poll()
    said: list[str] = []
    for n in range(1, 12):
        said += [server.say(chat, f"news {n}") for chat in server.chats]
        await broken_off(server, n)
    await server.rig.quiet()
    await server.rig.poll(after=61)
    assert sorted(e["message_id"] for e in server.rig.events("message.new")) == sorted(said)
    assert server.rig.differences() == []


async def broken_off(server: Server, at: int) -> bool:
    """Poll, and end the process at its nth request; whether it came that far."""
    poll = asyncio.ensure_future(server.rig.poll(after=61))
    loop, asked = asyncio.get_running_loop(), 0

    def end(_: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == at:
            loop.call_soon_threadsafe(poll.cancel)

    server.rig.sim.on_request = end
    await asyncio.wait([poll])
    server.rig.sim.on_request = None
    await server.rig.restart()
    return asked >= at
