"""Whatever JSON a server answers with, no call ends in an error of ours, and the mirror is the truth afterwards."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import examples
from rig import Rig, SteeredClock, settled_world
from syncd.errors import SyncdError
from syncd.simulator import Simulator, Team, World
from syncd.simulator.faults import Answer, Exchange
from team_rig import TeamRig
from writer import Writer

ODD = [
    "null",
    "{}",
    "[]",
    "[null]",
    "true",
    "false",
    "0",
    "-1",
    "5.5",
    "18446744073709551616",
    "1" + "0" * 400,
    "NaN",
    "-Infinity",
    "1e400",
    '""',
    r'"\u0000"',
    r'"\ud800"',
    '"..' + "x" * 5000 + '"',
    '"2026-02-30T25:61:00Z"',
    '"9999-12-31T23:59:59.999Z"',
    '"0001-01-01T00:00:00+14:00"',
    "[" * 3000 + "]" * 3000,
    '{"id":null,"":{"":[{}]}}',
]
"""Values that no document has there, as JSON; some of them are none by the letter."""

Spoil = list[tuple[int, str]]
spoils = st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(ODD)), min_size=1, max_size=3)

CALLS = {
    "list": "^/messages$",
    "proposal": "^/proposals/[^/]*$",
    "interview": "/interview$",
    "jobs": "^/jobs/mine$",
    "proposals": "^/jobs/[^/]*/proposals$",
    "updates": "^/updates$",
    "identity": "^/auth/me$",
}
TEAM_CALLS = {
    "jobs": "/api/jobs$",
    "job": r"/api/jobs/\d+$",
    "candidates": "/candidates/jobs/",
    "candidate": r"/candidates/\d+$",
    "chat": "/chat/",
}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in the JSON: what holds it, and under which name or number."""
    names = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in list(names):
        yield value, name
        yield from places(inner)


def spoiled(body: bytes, spoil: Spoil) -> bytes:
    """The same JSON with odd values in some of its places."""
    root = [json.loads(body)]
    into: dict[str, str] = {}
    for number, odd in spoil:
        found = list(places(root))
        holder, name = found[number % len(found)]
        mark = f"@{len(into)}@"
        holder[name] = mark
        into[mark] = odd
    text = json.dumps(root[0])
    for mark, odd in into.items():
        text = text.replace(f'"{mark}"', odd)
    return text.encode()


def spoiling(spoil: Spoil) -> Callable[[Exchange], Awaitable[None]]:
    """What a fault does that spoils every answer in the same places."""

    async def act(exchange: Exchange) -> None:
        answer = await exchange.ask()
        headers = [(name, value) for name, value in answer.headers if name != b"etag"]
        body = spoiled(answer.body, spoil) if answer.body else b""
        await exchange.deliver(Answer(answer.status, body, headers))

    return act


@asynccontextmanager
async def inbox() -> Any:
    """A small inbox and its mirror."""
    clock = SteeredClock()
    world = settled_world(clock, (3, 105, 0, 2))
    proposal = next(iter(world.proposals))
    world.interview_appears(proposal, ready=True, score=7.5)
    clock.advance(86_400)
    with tempfile.TemporaryDirectory() as folder, Simulator(world, team=Team(clock)) as sim:
        rig = Rig(sim, Path(folder) / "syncd.db", clock)
        await rig.start()
        rig.change(every_proposal=True)
        try:
            yield rig
        finally:
            await rig.stop()


@asynccontextmanager
async def team() -> Any:
    """An OpenATS with two jobs, and its mirror."""
    clock = SteeredClock()
    people = Team(clock, seed=5)
    for title in ("Backend engineer", "Designer"):
        people.new_candidate(people.new_job(title), "Ada", "Lovelace")
    for n in range(8):
        people.say(("job", "candidate")[n % 2], 1 + n % 4 // 2, f"message {n}")
    clock.advance(86_400)
    with tempfile.TemporaryDirectory() as folder, Simulator(World(clock), team=people) as sim:
        rig = TeamRig(sim, Path(folder) / "syncd.db", clock)
        await rig.start()
        try:
            yield rig
        finally:
            await rig.stop()


hunted = settings(max_examples=examples(8), deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("call", CALLS)
@hunted
@given(spoil=spoils, mirrored=st.booleans())
def test_any_answer_of_opentrain(call: str, spoil: Spoil, mirrored: bool) -> None:  # noqa: FBT001 - drawn by name
    """A poll over answers that are odd in any place ends as a poll does; afterwards the mirror is the truth."""

    async def story() -> None:
        async with inbox() as rig:
            if mirrored:
                await rig.quiet()
            rig.sim.faults.add("spoil", spoiling(spoil), path=CALLS[call], times=None)
            for full in (False, True):
                await rig.poll(full=full)
            rig.sim.faults.clear()
            await _recover(rig)

    asyncio.run(story())


@pytest.mark.parametrize("call", TEAM_CALLS)
@hunted
@given(spoil=spoils, mirrored=st.booleans())
def test_any_answer_of_openats(call: str, spoil: Spoil, mirrored: bool) -> None:  # noqa: FBT001 - drawn by name
    """The same of OpenATS."""

    async def story() -> None:
        async with team() as rig:
            if mirrored:
                await rig.poll()
            rig.sim.faults.add("spoil", spoiling(spoil), path=TEAM_CALLS[call], times=None)
            for full in (False, True):
                await rig.poll(full=full, after=61)
            rig.sim.faults.clear()
            for _ in range(3):
                await rig.poll(full=True, after=25_000)
            assert (rig.failures(), rig.differences()) == ({}, [])

    asyncio.run(story())


@pytest.mark.parametrize("path", ["^/messages$", "/conversation$"])
@pytest.mark.parametrize("status", [None, 400, 403, 409, 429, 500])
@hunted
@given(spoil=spoils)
def test_any_answer_to_a_writer(path: str, status: int | None, spoil: Spoil) -> None:
    """Whatever is answered to a message or an opening, its sender is told how it stands, in a word of ours."""
    refusal = b'{"error":"No","code":"X","requestId":"r","details":{"reason":"no","retryAfterSeconds":1,"policy":"p"}}'

    async def refuse(exchange: Exchange) -> None:
        await exchange.deliver(Answer(status or 200, spoiled(refusal, spoil), []))

    async def story() -> None:
        async with inbox() as rig:
            await rig.quiet()
            writer = Writer(rig, rig.sim.world.longest())
            action = spoiling(spoil) if status is None else refuse
            rig.sim.faults.add("spoil", action, path=path, method="POST", times=2)
            try:
                if path == "^/messages$":
                    told = await writer.send("Hello.")
                    assert told["state"] in ("sent", "failed", "sending", "queued", "unconfirmed")
                else:
                    await writer.ask("open_conversation", proposal_id=next(iter(rig.sim.world.proposals)))
            except SyncdError:
                pass
            rig.sim.faults.clear()
            for _ in range(3):
                await writer.poll(after=90)
            assert max(writer.arrived().values()) <= 60

    asyncio.run(story())


async def _recover(rig: Rig) -> None:
    """Past every backoff, the mirror is the truth."""
    await rig.restart()  # whose token it is, and what it may, is asked once a process
    rig.change(every_proposal=True)
    for _ in range(2):
        rig.clock.advance(25_000)
        await rig.quiet(6, full=True)
    assert rig.account()["state"] == "ok"
    assert (rig.failures(), rig.differences()) == ({}, [])
