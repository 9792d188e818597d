"""What a generated world holds."""

import tracemalloc
import unicodedata
from datetime import UTC, datetime

from syncd.simulator import World

NOW = datetime(2026, 6, 12, tzinfo=UTC)


def test_same_seed_same_world() -> None:
    """The same seed and time give the same world, another seed another one."""
    worlds = [World.generate(seed, conversations=30, messages=800, now=NOW, clock=lambda: NOW) for seed in (1, 1, 2)]
    assert worlds[0].truth() == worlds[1].truth()
    assert worlds[0].token == worlds[1].token
    assert not set(worlds[0].conversations) & set(worlds[2].conversations)


def test_default_world_has_everything() -> None:
    """The default world has the size asked for, every kind of thread, telling lengths and every odd value."""
    truth = World.generate(1, now=NOW).truth()
    threads = truth["messages"].values()
    texts = [message["content"] for thread in threads for message in thread]
    assert (len(threads), len(texts)) == (200, 20_000)
    assert {0, 1, 99, 100, 101, 200} <= {len(thread) for thread in threads}
    assert sum(len(thread) > 300 for thread in threads) >= 3
    buckets = {conversation["bucket"] for conversation in truth["conversations"].values()}
    assert {"proposal", "job", "archive"} <= buckets
    assert any(conversation.get("channelName") for conversation in truth["conversations"].values())
    assert any("labels" in conversation for conversation in truth["conversations"].values())
    assert {"", "x" * 10_000} <= set(texts)
    scripts = {unicodedata.name(text[0], "").split(" ")[0] for text in texts if text}
    assert {"LATIN", "ARABIC", "HEBREW", "CJK", "HIRAGANA", "DEVANAGARI", "THAI", "CYRILLIC"} <= scripts
    assert any("\x1b[" in text for text in texts)
    assert any(1 <= len(interview["messages"]) < 2 for interview in truth["interviews"].values())
    assert {86, 8.6} <= {interview["score"] for interview in truth["interviews"].values()}


def test_history_lies_in_the_past() -> None:
    """Nothing in a generated world is dated after the time it was made for, and threads are in order."""
    truth = World.generate(2, conversations=50, messages=5_000, now=NOW).truth()
    newest = max(message["updatedAt"] for thread in truth["messages"].values() for message in thread)
    assert newest < "2026-06-12T00:00:00.000Z"
    assert all(event["createdAt"] < "2026-06-12T00:00:00.000Z" for event in truth["updates"])
    for thread in truth["messages"].values():
        keys = [(message["createdAt"], message["id"]) for message in thread]
        assert keys == sorted(keys)


def test_small_worlds() -> None:
    """Any size works, down to nothing."""
    for conversations, messages in ((0, 0), (1, 0), (1, 1), (3, 5), (10, 10)):
        world = World.generate(1, conversations=conversations, messages=messages)
        assert len(world.conversations) == conversations
        assert sum(len(conversation.messages) for conversation in world.conversations.values()) == messages


def test_large_worlds_are_modest() -> None:
    """A message takes less than 600 bytes, and at most a hundred conversations are unread."""
    tracemalloc.start()
    world = World.generate(1, conversations=1_000, messages=20_000)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 20_000 < 600
    assert sum(conversation.unread > 0 for conversation in world.conversations.values()) == 100
