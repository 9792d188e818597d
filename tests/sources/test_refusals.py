"""A 401 or a 429 belongs to the account: tokens that rotate, and requests that must not be sent any more."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from syncd.errors import AuthError, ConfigError, ForbiddenError, RateLimitedError, UnreachableError
from syncd.simulator import Simulator
from syncd.sources.http import PoliteClient, Renewable
from syncd.sources.opentrain import OpenTrain

pytestmark = pytest.mark.anyio

OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenSource = Callable[..., AbstractAsyncContextManager[OpenTrain]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[..., bytes]


async def test_rotated_token(simulator: Simulator, open_source: OpenSource) -> None:
    """A refused token is asked for again once; where it was rotated, the request goes on with the new one."""
    tokens = ["ot_pat_old_one", simulator.token]
    async with open_source(token=lambda: tokens.pop(0)) as source:
        assert (await source.fetch_identity()).user_id == simulator.world.viewer
        await source.fetch_entries(None)
    assert ([record.status for record in simulator.requests.wait_for(3)], tokens) == ([401, 200, 200], [])


async def test_refused_token(simulator: Simulator, open_source: OpenSource) -> None:
    """A refused token that stays the same is an AuthError after one request."""
    async with open_source(token=lambda: "ot_pat_wrong_one") as source:
        with pytest.raises(AuthError) as caught:
            await source.fetch_entries(None)
    assert (caught.value.status, caught.value.reason, len(simulator.requests)) == (401, "UNAUTHORIZED", 1)
    assert caught.value.request_id


async def test_one_question_for_many(simulator: Simulator, open_source: OpenSource) -> None:
    """Requests that are refused together ask for the token together, once."""
    tokens = [simulator.token, "ot_pat_old_one"]
    asked: list[str] = []

    def ask() -> str:
        asked.append(tokens.pop())
        return asked[-1]

    async with open_source(token=ask) as source:
        await asyncio.gather(*(source.fetch_entries(None) for _ in range(8)))
    assert asked == ["ot_pat_old_one", simulator.token]


async def test_one_question_at_a_time() -> None:
    """Those who ask again while the question is open share its answer, even where the token stays the same."""
    asked: list[str] = []

    def ask() -> str:
        asked.append("ot_pat_same_one")
        return asked[-1]

    credentials = Renewable(ask)
    token = await credentials.current()
    assert await asyncio.gather(*(credentials.renewed(token) for _ in range(5))) == [token] * 5
    assert len(asked) == 2
    await credentials.renewed(token)
    assert len(asked) == 3


@pytest.mark.parametrize("token", ["", "  \n", "two\nlines", "žluť"])
async def test_impossible_token(simulator: Simulator, open_source: OpenSource, token: str) -> None:
    """A token that no header can carry is an AuthError, and nothing is sent."""
    async with open_source(token=lambda: token) as source:
        with pytest.raises(AuthError) as caught:
            await source.fetch_entries(None)
    assert (caught.value.reason, len(simulator.requests)) == ("no_token", 0)


async def test_no_token_to_be_had(open_source: OpenSource) -> None:
    """Where the token can't be had, the AuthError says why."""

    def ask() -> str:
        raise ConfigError("token_command failed: exit 2")

    async with open_source(token=ask) as source:
        with pytest.raises(AuthError, match="token_command failed: exit 2"):
            await source.fetch_entries(None)


@pytest.mark.parametrize(
    ("retry_after", "where", "seconds"),
    [(7, "details", 7), (2.5, "details", 2.5), ("3", "details", 3), (9, "header", 9), (9, "nowhere", 30)],
)
async def test_rate_limit(
    simulator: Simulator, open_source: OpenSource, retry_after: object, where: str, seconds: float
) -> None:
    """A 429 is a RateLimitedError with its wait, wherever that stands, and is not tried again."""
    simulator.faults.rate_limit(retry_after=retry_after, where=where)
    async with open_source() as source:
        with pytest.raises(RateLimitedError) as caught:
            await source.fetch_entries(None)
    assert (caught.value.retry_after, len(simulator.requests)) == (seconds, 1)


async def test_rate_limit_stops_those_that_wait(simulator: Simulator, open_source: OpenSource) -> None:
    """One 429 stops all requests that wait for their turn: they raise it without being sent."""
    simulator.faults.rate_limit(retry_after=7)
    async with open_source(concurrency=1) as source:
        outcomes = await asyncio.gather(*(source.fetch_entries(None) for _ in range(5)), return_exceptions=True)
        assert [getattr(outcome, "retry_after", None) for outcome in outcomes] == [7] * 5
        assert len(simulator.requests) == 1
        await source.fetch_entries(None)


async def test_rate_limit_stops_retries(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A request that is about to be tried again is not, once another one met a 429."""
    limited = reply(b'{"details": {"retryAfterSeconds": 7}}', "429 Slow down")
    async with (
        raw_server(reply(b"", "503 Busy"), limited, reply(b"{}")) as server,
        open_client(server.url) as client,
    ):
        clock: Any = client._clock
        clock.may_wake.clear()
        retrying = asyncio.create_task(client.get_json("/first"))
        await clock.asleep.wait()
        with pytest.raises(RateLimitedError):
            await client.get_json("/second")
        clock.may_wake.set()
        with pytest.raises(RateLimitedError):
            await retrying
        assert len(server.requests) == 2


async def test_outage_is_not_shared(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A request that fails for good leaves the others alone."""
    broken = reply(b"", "503 Busy")
    async with raw_server(broken, broken, broken, reply(b"{}")) as server, open_client(server.url) as client:
        with pytest.raises(UnreachableError):
            await client.get_json("/first")
        assert (await client.get_json("/second")).body == {}


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_rotated_header(raw_server: OpenRawServer, open_client: OpenClient, reply: Reply, status: str) -> None:
    """A proxy's refusal has its header asked for again: another one is used at once, the same one is no use."""
    keys = ["old", "new", "new"]
    refused = reply(b"no", status)
    async with (
        raw_server(refused, reply(b"{}"), refused) as server,
        open_client(server.url, headers=lambda: {"X-Proxy-Key": keys.pop(0)}) as client,
    ):
        await client.get_json("/")
        with pytest.raises((AuthError, ForbiddenError)):
            await client.get_json("/")
    sent = [next(line for line in head.split(b"\r\n") if line.startswith(b"X-Proxy-Key")) for head in server.requests]
    assert (sent, keys) == ([b"X-Proxy-Key: old", b"X-Proxy-Key: new", b"X-Proxy-Key: new"], [])
