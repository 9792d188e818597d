import sqlite3

import pytest

from people import WHEN, Run, World
from syncd.store import search


def found(run: Run, *words: str) -> list[str]:
    """The ids that a search finds, in its order."""
    ended = run("search", *words, "--json")
    assert ended.code == 0, ended.err
    return [hit["message_id"] for hit in ended.data]


def test_the_newest_come_first(run: Run, world: World) -> None:
    """Hits are ordered by the time of the message, whatever order they were stored in; --limit takes the newest."""
    for id, day in (("a", 2), ("b", 4), ("c", 1), ("d", 3)):
        world.say(id, "the offer", day=day)
    assert found(run, "offer") == ["b", "d", "a", "c"]
    assert found(run, "offer", "--limit", "2") == ["b", "d"]


def test_many_of_one_second_are_all_found(run: Run, world: World) -> None:
    """Messages of the same second don't push each other out."""
    for number in range(30):
        world.say(f"m{number}", "same second")
    assert len(found(run, "second", "--limit", "0")) == 30


@pytest.mark.parametrize("query", ["東京", "日本", "creme", '"große straße"', "مرحبا", "proj*", "👍"])
def test_any_script_through_the_index(run: Run, world: World, query: str) -> None:
    """What the words find in memory, the index finds on disk, and only that."""
    world.say("hit", "Crème in 東京、日本語! Große Straße, مَرْحَبًا projects 👍")
    world.say("miss", "京東 本日 straße große pro")
    assert found(run, query) == ["hit"]


@pytest.mark.parametrize(
    "query", ["w*", "wo* hello", "how_w*", "日本*", "h* w*", "w* --conversation c1", "w* --from a", "W*", "日", "x-w*"]
)
def test_a_wide_beginning_is_met_in_the_texts(
    run: Run, world: World, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beginning that very many texts have is looked for in the texts, and finds what the index finds."""
    for number, text in enumerate(
        ("hello world", "Hello, WORK!", "the wool", "how_worn", "日本 hello", "我日本", "x-w")
    ):
        world.say(f"m{number}", text, day=1 + number, conversation=f"c{1 + number % 2}")
    asked, _, option = query.partition(" --")
    words = [asked, *(f"--{option}".split() if option else ())]
    by_index = found(run, *words)
    monkeypatch.setattr(search, "_BROAD_PREFIX", -1)
    met = found(run, *words)
    assert by_index == met
    assert met


def test_all_words_must_occur(run: Run, world: World) -> None:
    """Several words are all needed, in any order."""
    world.say("both", "start on monday")
    world.say("one", "monday off")
    assert found(run, "monday start") == ["both"]


def test_the_filters_narrow_down(run: Run, world: World) -> None:
    """--from takes me, a part of the candidate's name or a user's id; --since, --conversation and --account too."""
    world.say("ana", "hello there", day=1)
    world.say("bo", "hello there", day=2, conversation="c2")
    world.say("me", "hello there", day=3, is_from_viewer=1, sender_user_id="viewer")
    assert found(run, "hello", "--from", "me") == ["me"]
    assert found(run, "hello", "--from", "alva") == ["ana"]
    assert found(run, "hello", "--from", "user-c2") == ["bo"]
    assert found(run, "hello", "--since", "2026-03-02") == ["me", "bo"]
    assert found(run, "hello", "--conversation", "c1") == ["me", "ana"]
    assert found(run, "hello", "--account", "ot") == ["me", "bo", "ana"]


def test_transcripts_are_searched(run: Run, world: World) -> None:
    """An interview's turns are hits too, with the candidate's name, also through the conversation."""
    turn = {"proposal_id": "p1", "role": "candidate", "content": "I know Kubernetes", "sent_at": WHEN.format(day=5)}
    world.insert("interview_messages", id="i1", seq=0, **turn)
    hit = run("search", "kubernetes", "--conversation", "c1", "--json").data[0]
    assert (hit["kind"], hit["sender"], hit["proposal_id"]) == ("interview", "Ana Álvarez", "p1")
    assert found(run, "kubernetes", "--from", "ana") == ["i1"]


def test_the_index_follows_the_rows(run: Run, world: World) -> None:
    """An edit, another time and a deletion are in the index in the transaction that makes them."""
    world.say("m", "first words", day=1)
    world.say("n", "second words", day=2)
    world.execute("UPDATE messages SET content = 'changed words' WHERE id = 'm'")
    assert (found(run, "first"), found(run, "changed")) == ([], ["m"])
    world.execute("UPDATE messages SET created_at = ? WHERE id = 'm'", WHEN.format(day=9))
    assert found(run, "words") == ["m", "n"]
    world.execute("DELETE FROM messages WHERE id = 'm'")
    assert found(run, "words") == ["n"]
    assert world.fetch("SELECT count(*) FROM _search_due") == [(0,)]
    world.execute("INSERT INTO _search (_search, rank) VALUES ('integrity-check', 1)")


def test_an_undone_transaction_leaves_no_hit(run: Run, world: World) -> None:
    """What is rolled back is not in the index."""
    world.say("m", "once")
    with pytest.raises(sqlite3.IntegrityError):
        world.say("m", "twice")
    assert (found(run, "once"), found(run, "twice")) == (["m"], [])


def test_people_see_who_when_where_and_the_match(run: Run, world: World) -> None:
    """A hit names the sender, the time, the place and the conversation's id, and marks the match."""
    world.say("m", "x" * 300 + " please send the Invoice soon", day=1)
    out = run("search", "invoice").out
    assert all(text in out for text in ("Ana Álvarez", "2026-03-01 10:00", "Labeller", "c1", "«Invoice»"))
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    "words", [["..."], ["x", "--since", "yesterday"], ["x", "--from", "!"], ["x", "--account", "no"]]
)
def test_what_can_not_be_searched_is_wrong_usage(run: Run, words: list[str]) -> None:
    """No word, no date, no name or no account: 2 and one line."""
    ended = run("search", *words)
    assert (ended.code, ended.err.count("\n")) == (2, 1)


def test_nothing_found_is_no_failure(run: Run) -> None:
    """Without a hit the command ends with 0 and says so."""
    assert (run("search", "nothing").out, run("search", "nothing", "--json").data) == ("Nothing found.\n", [])


def test_rank_puts_the_best_first(run: Run, world: World) -> None:
    """--rank prefers the text that is about the word."""
    world.say("about", "visa visa visa", day=1)
    world.say("aside", "a long letter about many things and at its end also a visa", day=2)
    assert found(run, "visa", "--rank") == ["about", "aside"]
