"""What is asked first of a conversation that was just discovered is known without a look at what is held of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from syncd.core.listing import Signals
from syncd.core.model import Conversation, Identity
from syncd.core.observations import CheckDue, Entries, Identified, Observation, Opened, UnreadList
from syncd.store.apply import Transaction
from syncd.store.migrate import open_writer
from syncd.store.writer import apply

NOW = "2026-06-12T09:15:00.000Z"
SAID = Conversation(id="said", last_message_id="m", last_message_at=NOW, updated_at=NOW, proposal_id="p")
EMPTY = Conversation(id="empty", updated_at=NOW)


class Mirror:
    """An account, and what is seen of it."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def see(self, kind: type[Observation], **values: Any) -> Any:
        """The answer to an observation."""
        return apply(self._transaction, kind(account="ot", now=NOW, **values)).answer

    def list(self, *entries: Conversation, kind: type[Observation] = Entries, **values: Any) -> Signals:
        """What a page of the list means."""
        found: Signals = self.see(kind, entries=entries, server_time=NOW, **values)
        return found


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """An account that has just begun."""
    with open_writer(tmp_path / "syncd.db") as writer, writer.transaction() as connection:
        mirror = Mirror(Transaction(connection))
        mirror.see(Opened, source="opentrain", base_url="https://example.test")
        mirror.see(Identified, identity=Identity(user_id="u", scopes=frozenset({"messages:read"}), server_time=NOW))
        yield mirror


@pytest.mark.parametrize(("kind", "values"), [(Entries, {}), (UnreadList, {"complete": True})])
def test_its_walk_begins_where_a_look_would_begin_it(
    mirror: Mirror, kind: type[Observation], values: dict[str, Any]
) -> None:
    """The list's answer has the very walk that a look answers with, and none for an empty conversation."""
    signals = mirror.list(SAID, EMPTY, kind=kind, **values)
    assert signals.walks == {"said": mirror.see(CheckDue, conversation_id="said")}
    assert mirror.see(CheckDue, conversation_id="empty") is None


def test_what_is_known_is_looked_at(mirror: Mirror) -> None:
    """A conversation that is held, or that is to be compared, has a past to begin from."""
    mirror.list(SAID)
    moved = replace(SAID, last_message_id="n")
    assert mirror.list(moved).walks == {}
    assert mirror.list(SAID, EMPTY, reconcile=True).walks == {}
