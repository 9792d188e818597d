from people import WHEN, Run, World
from syncd.core.erasure import without_erased
from syncd.core.model import Message
from syncd.core.plan import Plan
from syncd.store.erase import apply_retention, load_erased
from syncd.store.migrate import open_writer

NOW = "2026-03-11T00:00:00.000Z"


def retain(world: World, days: int) -> dict[str, int]:
    """Apply it as of 11 March."""
    with open_writer(world.path) as writer:
        return apply_retention(writer.connection, days, NOW)


def fill(world: World) -> None:
    """An old and a newer message, revision, event and interview."""
    world.say("old", "ancient words", day=1)
    world.say("new", "recent words", day=9)
    world.insert("message_revisions", message_id="old", revision=1, content="ancient draft")
    for number, day in ((1, 1), (2, 9)):
        world.insert("interviews", proposal_id=f"p{number}", interview_id=f"i{number}", summary=f"summary {day}")
        turn = {"role": "candidate", "content": f"turn {day}", "sent_at": WHEN.format(day=day)}
        world.insert("interview_messages", proposal_id=f"p{number}", id="t", seq=0, **turn)
    world.add_event("message.new", conversation_id="c1", message_id="old")


def test_what_is_too_old_goes_for_good(run: Run, world: World) -> None:
    """Messages, revisions, transcripts and events older than so many days leave no byte; newer ones stay."""
    fill(world)
    counts = retain(world, 5)
    assert counts == {
        "message_revisions": 1, "messages": 1, "events": 1, "interviews": 1, "interview_messages": 1,
    }  # fmt: skip
    data = b"".join(file.read_bytes() for file in world.path.parent.glob("syncd.db*") if file.is_file())
    assert [word for word in (b"ancient", b"summary 1", b"turn 1") if word in data] == []
    assert [word for word in (b"recent words", b"summary 9", b"turn 9") if word not in data] == []
    assert run("events", "--consumer", "x").lines[0]["reason"] == "retention"
    assert retain(world, 5) == {}


def test_what_is_too_old_does_not_come_back(world: World) -> None:
    """A re-walk that meets an old message again drops it, with its events."""
    fill(world)
    retain(world, 5)
    plan = Plan(
        rows=tuple(
            Message(id=id, conversation_id="c1", created_at=WHEN.format(day=day))
            for id, day in (("old", 1), ("new", 9))
        )
    )
    with open_writer(world.path) as writer:
        erased = load_erased(writer.connection, "ot", {"old", "new", "c1"}, "2099-01-01T00:00:00.000Z")
    assert [getattr(row, "id", None) for row in without_erased(plan, erased).rows] == ["new"]


def test_zero_keeps_everything(world: World) -> None:
    """0 days erase nothing, and lift what an earlier setting forbade."""
    fill(world)
    retain(world, 5)
    assert retain(world, 0) == {}
    assert world.fetch("SELECT * FROM _erased WHERE kind = 'before'") == []
