"""An entry that can't be read is set aside: the rest is stored, it is a row in `failures`, and it comes when mended."""

from typing import Any

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World

pytestmark = pytest.mark.anyio

ENTRIES = [
    "null",
    "{}",
    "5",
    '"text"',
    "[]",
    '{"id":null}',
    '{"id":""}',
    '{"id":5.0}',
    '{"id":true}',
    '{"id":{}}',
    '{"id":18446744073709551616}',
    r'{"id":"odd\u0000one"}',
    r'{"id":"odd\ud800one"}',
    '{"id":NaN}',
    '{"id":1e400}',
    '{"id":"odd","x":-Infinity}',
    '{"id":"odd","x":' + "[" * 5000 + "]" * 5000 + "}",
]
"""Entries of which nothing can be kept exactly, as JSON; some of them are none by the letter."""

NUMBERS = ["NaN", "1e400", "-Infinity"]

LISTINGS = {
    "conversation": ("^/messages$", "conversations", {"listing": True}),
    "message": ("^/messages$", "messages", {"listing": False}),
    "job": ("^/jobs/mine$", "jobs", {}),
    "proposal": ("^/jobs/[^/]*/proposals$", "proposals", {}),
    "interview_message": ("/interview$", "messages", {}),
}
"""By the kind of its entries: where each list is asked for, and what it is called there."""


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """Five threads with a proposal each, one with an interview, and a proposal that nobody has written to."""
    world = settled_world(clock, (4, 130, 2, 250, 3))
    proposal_id = next(c.proposal_id for c in world.conversations.values() if c.proposal_id)
    world.interview_appears(proposal_id, ready=True, score=7.5)
    world.new_proposal(next(iter(world.jobs)))
    clock.advance(86_400)
    return world


@pytest.fixture
def whole(rig: Rig) -> Rig:
    """The mirror, that of every proposal."""
    rig.change(every_proposal=True)
    return rig


def spoil(rig: Rig, kind: str, pattern: str, into: str, count: int = 0, **match: Any) -> None:
    """Spoil the answers that list this kind of entry, from now on."""
    path, _, where = LISTINGS[kind]
    rig.sim.faults.rewrite(pattern, into, count, **{"path": path, "times": None, **where, **match})


def insert(rig: Rig, kind: str, entry: str, **match: Any) -> None:
    """Put an entry at the head of the lists of this kind."""
    name = LISTINGS[kind][1]
    spoil(rig, kind, rf'"{name}":\[(?=\{{)', f'"{name}":[{entry},', 1, **match)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry[:40] for entry in ENTRIES])
@pytest.mark.parametrize("kind", ["conversation", "message"])
async def test_an_entry_that_is_none(whole: Rig, kind: str, entry: str) -> None:
    """Whatever stands where an entry should: all others are mirrored, and it is a failure that says what is wrong."""
    insert(whole, kind, entry)
    outcome = await whole.poll()
    assert outcome.account_state.state == "ok"
    assert whole.account()["complete_since"] is not None
    assert whole.differences() == []
    assert {found for found, _ in whole.failures()} == {kind}
    for row in whole.failures().values():
        assert row["reason"] not in ("", "shape", "not_json")
        assert "\0" not in row["subject_id"]


@pytest.mark.parametrize("kind", LISTINGS)
@pytest.mark.parametrize("entry", ["null", '{"id":"odd","x":NaN}', '{"id":{}}'])
async def test_every_list_sets_it_aside(whole: Rig, kind: str, entry: str) -> None:
    """Every list does so, it is one failure however often it is read, and none once the list is good again."""
    insert(whole, kind, entry, times=None if kind != "message" else 1)
    await whole.quiet(3)
    assert whole.account()["state"] == "ok"
    assert whole.differences() == []
    failures = whole.failures()
    assert {found for found, _ in failures} == {kind}
    if kind != "message":
        await whole.quiet(3, full=True)
        assert whole.failures().keys() == failures.keys()
    whole.sim.faults.clear()
    await whole.quiet(3, full=True)
    assert whole.failures() == {}
    assert whole.differences() == []


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("conversation", "unreadCount"),
        ("conversation", "bucket"),
        ("message", "attachmentCount"),
        ("message", "content"),
        ("job", "title"),
        ("proposal", "jobTitle"),
        ("interview_message", "content"),
    ],
)
async def test_a_number_that_is_none(whole: Rig, kind: str, field: str, number: str) -> None:
    """NaN, 1e400 or the like in any field costs its own entry, which has its id in failures, and nothing else."""
    where = {"conversation": whole.sim.world.longest()} if kind == "message" else {}
    pattern = rf'"{field}":("[^"]*"|[0-9]+)'
    spoil(whole, kind, pattern, f'"{field}":{number}', 1, **where)
    await whole.quiet(3)
    assert whole.account()["state"] == "ok"
    failures = whole.failures()
    assert {found for found, _ in failures} == {kind}
    table = {"conversation": "conversations", "message": "messages", "job": "jobs", "proposal": "proposals"}.get(kind)
    assert [d for d in whole.differences() if not d.startswith(_explained(kind, failures))] == []
    if table is not None and kind != "proposal":  # those are asked for one by one, too
        assert all(not whole.rows(f"SELECT 1 FROM {table} WHERE id = ?", id_) for _, id_ in failures)  # noqa: S608 - our own names
    whole.sim.faults.clear()
    await whole.quiet(3, full=True)
    assert (whole.failures(), whole.differences()) == ({}, [])


def _explained(kind: str, failures: dict[tuple[str, str], Any]) -> tuple[str, ...]:
    """How the differences begin that these failures are to leave."""
    ids = [id_ for _, id_ in failures]
    if kind == "conversation":  # with all that hangs on it
        return ("conversations", "messages", "interviews", "interview_messages")
    if kind == "interview_message":
        return ("interview_messages",)
    return tuple(f"{kind}s ('{id_}',)" for id_ in ids)


async def test_poison_in_a_full_page(rig: Rig) -> None:
    """A page of a hundred of which one can't be read is no short page: what lies behind it is fetched."""
    id_ = rig.sim.world.longest()
    for at in (1, 60, 100, 101, 249):
        message_id = rig.sim.world.conversations[id_].messages[at - 1].id
        rig.sim.faults.clear()
        rig.sim.faults.rewrite(f'"id":"{message_id}",', f'"id":"{message_id}","x":NaN,', path="^/messages", times=None)
        await rig.quiet(3, full=True)
        assert rig.failures().keys() == {("message", message_id)}
        assert [d for d in rig.differences() if message_id not in d] == []
    rig.sim.faults.clear()
    await rig.quiet(3, full=True)
    assert (rig.failures(), rig.differences()) == ({}, [])


@pytest.mark.parametrize("quirk", ["oldest", "newest"])
@pytest.mark.parametrize("raw", ['"{id}","x":NaN', '"{id}\\u0000"', "5.5", "{{}}"])
async def test_the_last_message_is_poison(rig: Rig, raw: str, quirk: str) -> None:
    """A conversation whose last message can't be kept is whole but for that, and news behind it comes as ever."""
    rig.sim.quirks.newer_without_cursor = quirk
    for id_ in list(rig.sim.world.conversations):
        last = rig.sim.world.conversations[id_].messages[-1].id
        rig.sim.faults.clear()
        rig.sim.faults.rewrite(f'"id":"{last}"', f'"id":{raw.format(id=last)}', path="^/messages", times=None)
        await rig.quiet(4, full=True)
        assert {kind for kind, _ in rig.failures()} <= {"message"} | ({"conversation"} if "NaN" in raw else set())
        if "NaN" not in raw:  # the list's own copy of it is as odd there
            messages = [d for d in rig.differences() if d.startswith("messages") and last not in d]
            assert messages == []
        rig.sim.faults.clear()
        made = rig.sim.world.add_message(id_, "news")
        await rig.quiet(4)
        assert made in {e["message_id"] for e in rig.events("message.new")}
    await rig.quiet(4, full=True)
    assert (rig.failures(), rig.differences()) == ({}, [])


async def test_a_message_that_becomes_poison_is_kept(rig: Rig) -> None:
    """A row whose entry can't be read any more stays as it was: that is no deletion."""
    await rig.quiet()
    id_ = rig.sim.world.longest()
    message_id = rig.sim.world.conversations[id_].messages[120].id
    rig.sim.faults.rewrite(f'"id":"{message_id}",', f'"id":"{message_id}","x":NaN,', path="^/messages", times=None)
    await rig.quiet(4, full=True)
    rig.clock.advance(3700)
    await rig.quiet(4, full=True)
    assert rig.scalar("SELECT gone_at FROM messages WHERE id = ?", message_id) is None
    assert rig.failures().keys() == {("message", message_id)}
    assert rig.events("message.deleted") == []


@pytest.mark.parametrize("raw", ["null", "{}", '{"id":7.5}'])
async def test_an_entry_without_a_name_may_be_any_that_is_missing(rig: Rig, raw: str) -> None:
    """Where a message stood and now something unreadable does, nothing is taken for deleted."""
    await rig.quiet()
    id_ = rig.sim.world.longest()
    message_id = rig.sim.world.conversations[id_].messages[30].id
    rig.sim.faults.rewrite(rf'\{{"id":"{message_id}"[^}}]*\}}', raw, path="^/messages", times=None)
    for _ in range(2):
        await rig.quiet(4, full=True)
        rig.clock.advance(3700)
    assert rig.scalar("SELECT gone_at FROM messages WHERE id = ?", message_id) is None
    assert {kind for kind, _ in rig.failures()} == {"message"}
    rig.sim.faults.clear()
    rig.sim.world.delete_message(id_, message_id)
    await rig.quiet(4, full=True)
    assert rig.failures() == {}
    assert [e["message_id"] for e in rig.events("message.deleted")] == [message_id]


@pytest.mark.parametrize("way", ["leave", "delete"])
async def test_what_is_gone_has_no_poison(rig: Rig, way: str) -> None:
    """What could not be read of a conversation is no failure any more once the conversation is gone."""
    id_ = rig.sim.world.longest()
    insert(rig, "message", "null", conversation=id_)
    await rig.quiet()
    assert len(rig.failures()) == 1
    getattr(rig.sim.world, f"{way}_conversation")(id_)
    await rig.quiet(4, full=True)
    assert rig.failures() == {}


async def test_a_conversation_that_becomes_poison_is_kept(rig: Rig) -> None:
    """The same for a conversation: it is on the list, so it is not gone."""
    await rig.quiet()
    id_ = rig.sim.world.longest()
    rig.sim.faults.rewrite(f'"id":"{id_}",', f'"id":"{id_}","x":NaN,', listing=True, times=None)
    for _ in range(2):
        await rig.quiet(4, full=True)
        rig.clock.advance(3700)
    assert rig.scalar("SELECT gone_at FROM conversations WHERE id = ?", id_) is None
    assert rig.failures().keys() == {("conversation", id_)}


async def test_poison_costs_no_writes(rig: Rig) -> None:
    """An entry that stays bad is written down once, not at each poll that meets it."""
    insert(rig, "conversation", "null")
    await rig.quiet()
    (before,) = rig.failures().values()
    for _ in range(4):
        await rig.poll(after=1)
    (after,) = rig.failures().values()
    assert (after["tries"], after["change_id"]) == (before["tries"], before["change_id"])
    await rig.poll(after=90)
    (later,) = rig.failures().values()
    assert later["tries"] == before["tries"] + 1
    assert later["first_failed_at"] == before["first_failed_at"]


@pytest.mark.parametrize("where", ["conversation", "message"])
async def test_an_id_with_nul(rig: Rig, where: str) -> None:
    """An id with NUL is no id that a mirror can keep: its entry is a failure, said once, and nothing is asked of it."""
    id_ = rig.sim.world.longest()
    odd = id_ if where == "conversation" else rig.sim.world.conversations[id_].messages[-5].id
    rig.sim.faults.rewrite(f'"{odd}"', rf'"{odd[:4]}\u0000{odd[4:]}"', path="^/messages", times=None)
    await rig.quiet(3)
    assert len(rig.sim.requests) < 40
    events = rig.events()
    for _ in range(2):
        await rig.quiet(3, full=True)
    assert [e for e in rig.events() if e not in events] == []
    assert {kind for kind, _ in rig.failures()} == {where}
    assert len(rig.failures()) == 1
    rig.sim.faults.clear()
    await rig.quiet(4, full=True)
    assert (rig.failures(), rig.differences()) == ({}, [])


@pytest.mark.parametrize("cursor", ["false", "{}", "[]", "true", "NaN", "1.5"])
@pytest.mark.parametrize("kind", ["conversation", "message", "job", "proposal"])
async def test_a_cursor_that_is_none(whole: Rig, kind: str, cursor: str) -> None:
    """`false` is the end, as null is; where anything else is no cursor the page is stored, and the list unproved."""
    spoil(whole, kind, r'"nextCursor":null', f'"nextCursor":{cursor}')
    await whole.quiet(3)
    reasons = {row["reason"] for row in whole.failures().values()}
    assert reasons == (set() if cursor == "false" else {"cursor_unreadable"})
    assert whole.account()["state"] == ("starting" if kind == "conversation" and reasons else "ok")
    assert [d for d in whole.differences() if d.startswith(("conversations", "messages", "jobs"))] == []
    whole.sim.faults.clear()
    await whole.quiet(4, full=True)
    whole.clock.advance(90_000)
    await whole.quiet(4, full=True)
    assert (whole.failures(), whole.differences()) == ({}, [])
