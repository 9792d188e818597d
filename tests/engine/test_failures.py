"""What fails is a row, never blocks the rest, is retried with backoff, and goes when it is over."""

import asyncio
from typing import Any

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """Seven threads."""
    return settled_world(clock, (4, 120, 2, 7, 3, 1, 9))


@pytest.mark.parametrize("fault", ["empty_object", "html", "cut_json", "truncate", "reset_midway", "reset", "gateway"])
async def test_poison_page(rig: Rig, fault: str) -> None:
    """A page that can't be read is a failure; the rest is whole; it is tried again later, and then forgotten."""
    id_ = rig.sim.world.longest()
    getattr(rig.sim.faults, fault)(conversation=id_, times=None)
    outcome = await rig.poll()
    assert outcome.account_state.state == "ok"
    failure = rig.failures()["conversation", id_]
    assert (failure["tries"], len(rig.failures())) == (1, 1)
    assert failure["reason"]
    missing = {difference.split(":")[0] for difference in rig.differences()}
    assert len(missing) == 120
    rig.sim.requests.clear()
    await rig.poll()
    assert rig.sim.requests.count(conversation=id_) == 0
    await rig.poll(after=60)
    assert rig.failures()["conversation", id_]["tries"] == 2
    rig.sim.faults.clear()
    await rig.poll(after=130)
    assert rig.failures() == {}
    assert rig.differences() == []
    deleted = rig.rows("SELECT key FROM _deletions WHERE table_name = 'failures'")
    assert deleted == [{"key": f'["acme","conversation","{id_}"]'}]


@pytest.mark.parametrize("code", [400, 409, 418, 500, 503])
async def test_error_of_one_conversation(rig: Rig, code: int) -> None:
    """An error answer is a failure with the server's request id; a 5xx of one conversation is no outage."""
    id_ = rig.sim.world.longest()
    rig.sim.faults.status(code, conversation=id_, times=None)
    await rig.poll()
    assert rig.account()["state"] == "ok"
    assert rig.failures()["conversation", id_]["request_id"] == "req_fault"
    rig.sim.faults.clear()
    await rig.poll(after=70)
    assert rig.failures() == {}
    assert rig.differences() == []


async def test_nobody_goes_untold(rig: Rig) -> None:
    """The counts of a conversation whose messages can't be had are believed all the same; its message is told later."""
    await rig.poll()
    id_ = rig.sim.world.longest()
    rig.sim.faults.status(500, conversation=id_, times=None)
    made = rig.sim.world.add_message(id_, "help")
    await rig.poll()
    assert {e["kind"] for e in rig.new_events()} == {"conversation.unread", "conversation.needs_reply"}
    assert rig.scalar("SELECT unread_count FROM conversations WHERE id = ?", id_) == 1
    rig.sim.faults.clear()
    await rig.poll(after=70)
    assert {e["kind"] for e in rig.new_events()} >= {"message.new"}
    assert all(e["message_id"] == made for e in rig.new_events())
    assert rig.differences() == []


async def test_retry_beside_news(rig: Rig) -> None:
    """What was retried before the list showed that it changed again is looked at once more in the same poll."""
    await rig.poll()
    world, id_ = rig.sim.world, rig.sim.world.longest()
    world.add_message(id_, "one")
    rig.sim.faults.empty_object(conversation=id_)
    await rig.poll()
    assert ("conversation", id_) in rig.failures()
    rig.sim.requests.clear()
    rig.sim.faults.delay(0.3, listing=True)

    async def write() -> None:
        await asyncio.to_thread(rig.sim.requests.wait_for, 1, conversation=id_, status=200)
        world.add_message(id_, "two")

    rig.clock.advance(70)
    await asyncio.gather(rig.poll(), write())
    assert rig.differences() == []


async def test_outage(rig: Rig) -> None:
    """A server that is down makes the account unreachable, with the next try stored; it recovers by itself."""
    await rig.poll()
    rig.sim.pause()
    outcome = await rig.poll()
    assert outcome.account_state.state == "unreachable"
    assert rig.account()["retry_at"] > rig.clock.now()
    waits = []
    for _ in range(9):
        outcome = await rig.poll(after=0)
        sql = "SELECT round((julianday(retry_at) - julianday(?)) * 86400) FROM accounts"
        waits.append(rig.scalar(sql, rig.clock.now()))
    assert waits == sorted(waits)
    assert waits[-1] == 300
    rig.sim.resume()
    await rig.poll()
    assert (rig.account()["state"], rig.account()["retry_at"], rig.account()["last_error"]) == ("ok", None, None)


async def test_server_that_fails_everywhere(rig: Rig) -> None:
    """A server that answers 5xx to every thread is an outage, not a failure of each thread; nothing is lost."""
    rig.sim.faults.gateway(path="^/messages", listing=False, times=None)
    outcome = await rig.poll()
    assert outcome.account_state.state == "unreachable"
    rig.sim.faults.clear()
    await rig.poll(after=400)
    assert rig.account()["state"] == "ok"
    assert rig.differences() == []


STATES: list[tuple[str, dict[str, Any], str]] = [
    ("status", {"code": 401}, "auth_failed"),
    ("status", {"code": 403}, "forbidden"),
    ("status", {"code": 404}, "protocol_error"),
    ("status", {"code": 500}, "unreachable"),
    ("gateway", {}, "unreachable"),
    ("html", {}, "protocol_error"),
    ("empty_object", {}, "protocol_error"),
    ("cut_json", {}, "protocol_error"),
    ("reset", {}, "unreachable"),
]


@pytest.mark.parametrize(("fault", "arguments", "state"), STATES)
@pytest.mark.parametrize("begun", [False, True])
async def test_state(rig: Rig, fault: str, arguments: dict[str, Any], state: str, *, begun: bool) -> None:
    """Trouble with the list is a state of the account, before and after its first pass; nothing is lost or deleted."""
    if begun:
        await rig.poll()
    before = rig.rows("SELECT * FROM messages")
    getattr(rig.sim.faults, fault)(listing=True, times=None, **arguments)
    outcome = await rig.poll()
    assert (outcome.account_state.state, rig.account()["state"]) == (state, state)
    assert rig.account()["last_error"]
    assert rig.rows("SELECT * FROM messages") == before
    rig.sim.faults.clear()
    await rig.poll(after=600)
    assert rig.account()["state"] == "ok"
    assert rig.differences() == []


async def test_token_without_proposals(rig: Rig) -> None:
    """Without proposals:read and jobs:read the rest is mirrored, and the state is ok."""
    rig.token = rig.sim.world.add_token(scopes=["messages:read"])
    await rig.poll()
    assert rig.account()["state"] == "ok"
    assert rig.failures() == {}
    assert rig.sim.requests.count(path="^/(proposals|jobs)") == 0
    tables = {difference.split()[0] for difference in rig.differences()}
    assert tables == {"proposals", "candidates", "jobs"}


async def test_token_without_messages(rig: Rig) -> None:
    """Without messages:read the account is forbidden."""
    rig.token = rig.sim.world.add_token(scopes=["jobs:read"])
    outcome = await rig.poll()
    assert outcome.account_state.state == "forbidden"


async def test_wrong_account(rig: Rig) -> None:
    """Another user's token is noticed before anything of theirs is applied, and the right one heals it."""
    await rig.poll()
    before = rig.rows("SELECT * FROM conversations")
    rig.token = rig.sim.world.add_token(user_id="u-other")
    await rig.restart()
    for _ in range(2):
        outcome = await rig.poll()
        assert outcome.account_state.state == "wrong_account"
    assert rig.rows("SELECT * FROM conversations") == before
    assert rig.sim.requests.count(path="^/messages") == 0
    rig.token = rig.sim.token
    await rig.restart()
    await rig.poll()
    assert rig.account()["state"] == "ok"


async def test_revoked_token(rig: Rig) -> None:
    """A token that is revoked while the account runs is auth_failed; one of another user after it is not believed."""
    await rig.poll()
    rig.sim.world.revoke_token(rig.token)
    assert (await rig.poll()).account_state.state == "auth_failed"
    rig.token = rig.sim.world.add_token(user_id="u-other")
    assert (await rig.poll(after=600)).account_state.state == "wrong_account"
    rig.token = rig.sim.world.add_token()
    await rig.restart()
    assert (await rig.poll(after=600)).account_state.state == "ok"
    assert rig.differences() == []


@pytest.mark.parametrize("way", ["leave", "delete"])
async def test_conversation_of_its_own(rig: Rig, way: str) -> None:
    """A conversation's own 404, or its 403 while the list answers, is gone at the poll that asks it; no failure."""
    await rig.poll()
    world, id_ = rig.sim.world, rig.sim.world.longest()
    world.touch(id_)

    def vanish(record: Any) -> None:
        if record.conversation_id == id_ and id_ in world.conversations:
            rig.sim.on_request = None
            getattr(world, f"{way}_conversation")(id_)

    rig.sim.on_request = vanish
    await rig.poll()
    assert rig.failures() == {}
    assert [e["kind"] for e in rig.new_events()] == ["conversation.gone"]


async def test_refusal_with_other_scopes(rig: Rig) -> None:
    """A 403 while the token's scopes have changed makes nothing gone: it is a failure."""
    await rig.poll()
    id_ = rig.sim.world.longest()
    for token in rig.sim.world.tokens.values():
        token.scopes = ("messages:read",)
    rig.sim.world.add_message(id_, "new")
    rig.sim.faults.status(403, conversation=id_, times=None)
    await rig.poll()
    assert rig.new_events("conversation.gone") == []
    assert ("conversation", id_) in rig.failures()


@pytest.mark.parametrize("fault", ["html", "empty_object", "gateway", "cut_json"])
@pytest.mark.parametrize("path", ["^/jobs/mine", "^/updates", "^/proposals/[^/]*$", "unread"])
async def test_lesser_calls(rig: Rig, fault: str, path: str) -> None:
    """What is beside the messages fails beside them: the first pass ends whole, and it heals."""
    if path == "unread":
        await rig.poll()
    match = {"listing": True, "skip": 1} if path == "unread" else {"path": path, "times": None}
    getattr(rig.sim.faults, fault)(**match)
    await rig.quiet(2)
    messages = [d for d in rig.differences() if d.startswith(("messages", "conversations"))]
    assert messages == []
    assert rig.account()["complete_since"] is not None
    rig.sim.faults.clear()
    await rig.poll(after=3700)
    await rig.poll(full=True, after=3700)
    assert rig.failures() == {}
    assert rig.differences() == []


async def test_every_proposal(rig: Rig) -> None:
    """With proposals = "all" also those nobody wrote to are mirrored; a job that fails stands aside."""
    world = rig.sim.world
    job = world.new_job("Another")
    for _ in range(3):
        world.new_proposal(job)
    rig.change(every_proposal=True)
    rig.sim.faults.status(403, path=f"^/jobs/{job}/proposals", times=None)
    await rig.poll()
    assert rig.account()["state"] == "ok"
    rig.sim.faults.clear()
    await rig.poll(full=True, after=3700)
    await rig.poll(after=3700)
    assert rig.differences() == []
    assert rig.failures() == {}


async def test_disk_that_refuses(rig: Rig) -> None:
    """A database that refuses every write ends the poll as paused, and does not end the program."""
    await rig.poll()
    rig.sim.world.add_message(rig.sim.world.longest(), "new")
    await rig.store.read(lambda connection: connection.execute("PRAGMA query_only = 1"))
    outcome = await rig.poll()
    assert outcome.account_state.state == "paused"
    await rig.store.read(lambda connection: connection.execute("PRAGMA query_only = 0"))
    await rig.poll()
    assert rig.account()["state"] == "ok"
    assert rig.differences() == []


async def test_an_unread_list_that_fails_leaves_the_poll_good(rig: Rig) -> None:
    """What the list shows is mirrored while the unread one answers 503, HTML or `{}`; the log says so once."""
    await rig.poll()
    id_ = rig.sim.world.longest()
    for fault in ("gateway", "html", "empty_object"):
        getattr(rig.sim.faults, fault)(listing=True, skip=1, times=None)
        made = rig.sim.world.add_message(id_, "help")
        assert (await rig.poll()).account_state.state == "ok"
        assert {e["message_id"] for e in rig.new_events("message.new")} == {made}
        assert rig.differences() == []
        rig.sim.faults.clear()
    rig.sim.world.read_conversation(id_)
    await rig.poll()
    assert rig.scalar("SELECT unread_count FROM conversations WHERE id = ?", id_) == 0
    assert [event for event, _ in rig.log if event.startswith("unread.")] == ["unread.failed", "unread.recovered"]


@pytest.mark.parametrize("fault", ["truncate", "html", "cut_json", "empty_object"])
@pytest.mark.parametrize("what", ["conversation", "proposal", "interview", "jobs", "proposals"])
async def test_a_person_tries_all_failures_at_once(rig: Rig, fault: str, what: str) -> None:
    """A manual pass tries everything in `failures`, whatever its next try; an ordinary poll waits for that."""
    world = rig.sim.world
    proposal = next(iter(world.proposals))
    world.interview_appears(proposal)
    path = {"proposal": f"^/proposals/{proposal}$", "interview": "/interview$", "jobs": "^/jobs/mine"}.get(what)
    match = {"conversation": world.longest()} if what == "conversation" else {"path": path or "^/jobs/[^/]*/proposals"}
    rig.change(every_proposal=True)
    getattr(rig.sim.faults, fault)(times=None, **match)
    await rig.poll()
    assert {kind for kind, _ in rig.failures()} == {what}
    await rig.poll(manual=True)
    assert {row["tries"] for row in rig.failures().values()} == {2}
    rig.sim.faults.clear()
    await rig.poll()
    assert {kind for kind, _ in rig.failures()} == {what}
    await rig.poll(manual=True)
    assert rig.failures() == {}
    assert rig.differences() == []
