"""OpenTrain where the simulator refuses, breaks off, or sends what no document describes."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from syncd.errors import FetchError, ForbiddenError, NotFoundError, ProtocolError, RejectedError, UnreachableError
from syncd.simulator import Simulator
from syncd.sources.opentrain import OpenTrain

pytestmark = pytest.mark.anyio

OpenSource = Callable[..., AbstractAsyncContextManager[OpenTrain]]


async def test_a_lost_reply(simulator: Simulator, open_source: OpenSource) -> None:
    """A message whose reply is lost was sent once, and the error says that this is not known."""
    conversation_id = simulator.world.new_conversation()
    simulator.faults.lose_reply(method="POST")
    async with open_source() as source:
        with pytest.raises(UnreachableError) as caught:
            await source.send_message(conversation_id, "Hello once")
    assert caught.value.reason == "lost"
    assert [each["content"] for each in simulator.world.truth()["messages"][conversation_id]] == ["Hello once"]


async def test_unclaimed_account(simulator: Simulator, open_source: OpenSource) -> None:
    """Sending from an unclaimed account says why it is refused, and where to claim it."""
    token = simulator.world.add_token(scopes=["messages:read", "messages:write"], claimed=False)
    conversation_id = simulator.world.new_conversation()
    async with open_source(token=lambda: token) as source:
        with pytest.raises(ForbiddenError, match="https://") as caught:
            await source.send_message(conversation_id, "Hello")
    assert caught.value.reason == "account_claim_required"


async def test_gone_and_forbidden(simulator: Simulator, open_source: OpenSource) -> None:
    """A conversation that is no more is a 404, one that was left a 403, a dead cursor is rejected."""
    world = simulator.world
    left, deleted, kept = (world.new_conversation() for _ in range(3))
    world.leave_conversation(left)
    world.delete_conversation(deleted)
    simulator.faults.dead_cursor()
    async with open_source() as source:
        for conversation_id, kind in ((left, ForbiddenError), (deleted, NotFoundError)):
            with pytest.raises(kind):
                await source.fetch_messages(conversation_id, "newer", None)
        with pytest.raises(RejectedError):
            await source.fetch_messages(kept, "newer", "expired")


@pytest.mark.parametrize("body", [{}, [], {"messages": None}, {"messages": {"id": "m1"}}, None, 5])
async def test_answers_of_another_shape(simulator: Simulator, open_source: OpenSource, body: object) -> None:
    """An answer of another shape is a ProtocolError after one request, except a bare list, which is one."""
    conversation_id = simulator.world.new_conversation()
    simulator.faults.body(body)
    async with open_source() as source:
        if body == []:
            assert (await source.fetch_messages(conversation_id, "newer", None)).messages == ()
            return
        with pytest.raises(ProtocolError) as caught:
            await source.fetch_messages(conversation_id, "newer", None)
    assert (caught.value.reason, caught.value.status, len(simulator.requests)) == ("shape", 200, 1)


async def test_shape_errors_carry_the_request_id(simulator: Simulator, open_source: OpenSource) -> None:
    """An answer that can't be understood is reported with the id that support asks for."""
    simulator.faults.body({"requestId": "req_9"})
    async with open_source() as source:
        with pytest.raises(ProtocolError, match="an answer without conversations") as caught:
            await source.fetch_entries(None)
    assert caught.value.request_id == "req_9"


@pytest.mark.parametrize("fault", ["gateway", "html", "cut_json", "reset", "reset_midway", "truncate", "lose_reply"])
async def test_faults_are_survived(simulator: Simulator, open_source: OpenSource, fault: str) -> None:
    """A read survives a passing fault, and raises a FetchError where it does not pass."""
    conversation_id = simulator.world.new_conversation()
    message_id = simulator.world.add_message(conversation_id, "Hello")
    async with open_source() as source:
        getattr(simulator.faults, fault)(times=2)
        page = await source.fetch_messages(conversation_id, "newer", None)
        assert [message.id for message in page.messages] == [message_id]
        getattr(simulator.faults, fault)(times=None)
        with pytest.raises(FetchError):
            await source.fetch_messages(conversation_id, "newer", None)
        simulator.faults.clear()
        await source.fetch_messages(conversation_id, "newer", None)


async def test_a_stalled_server(simulator: Simulator, open_source: OpenSource) -> None:
    """A server that says nothing is a time-out; the next request finds a working connection."""
    simulator.faults.stall()
    async with open_source(limits={"read_timeout": 0.05, "attempts": 1}) as source:
        with pytest.raises(UnreachableError) as caught:
            await source.fetch_entries(None)
        assert caught.value.reason == "timeout"
    async with open_source() as source:
        await source.fetch_entries(None)
