"""The sources under contract: each as a server with chats, and what can happen there."""

from pathlib import Path
from typing import Any, Protocol

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import Simulator, Team, World
from team_rig import TeamRig


class Server(Protocol):
    """What the contract needs of a source: five chats, and things that happen in them."""

    rig: Rig
    chats: list[str]

    def say(self, chat: str, text: str) -> str:
        """Somebody else says something; the message's id in the mirror."""

    def edit(self, chat: str, message: str, text: str) -> None:
        """The text of a message changes."""

    def delete(self, chat: str, message: str) -> None:
        """A message is taken away, without a tombstone."""

    def restore(self, chat: str, message: str) -> None:
        """It is back under its id."""

    def remove(self, chat: str) -> None:
        """The chat is no longer there."""

    def bring_back(self, chat: str) -> None:
        """The chat is there again, as it was."""

    def new_chat(self) -> str:
        """A chat begins; its id in the mirror."""

    def only(self, chat: str) -> dict[str, Any]:
        """Which requests are about that chat alone, as faults match them."""


class PagedServer:
    """OpenTrain: conversations in pages."""

    def __init__(self, clock: SteeredClock) -> None:
        self.world = settled_world(clock, (3, 120, 7, 40, 12))
        self.chats = sorted(self.world.conversations)
        self.sim = Simulator(self.world, team=Team(clock))

    def mirrored(self, path: Path, clock: SteeredClock) -> Rig:
        """Its mirror."""
        self.rig = Rig(self.sim, path, clock)
        return self.rig

    def say(self, chat: str, text: str) -> str:
        """Somebody else says something."""
        return self.world.add_message(chat, text)

    def edit(self, chat: str, message: str, text: str) -> None:
        """The text of a message changes."""
        self.world.edit_message(chat, message, text)

    def delete(self, chat: str, message: str) -> None:
        """A message is taken away."""
        self.world.delete_message(chat, message)

    def restore(self, chat: str, message: str) -> None:
        """It is back."""
        self.world.restore_message(chat, message)

    def remove(self, chat: str) -> None:
        """The conversation answers 404."""
        self.world.delete_conversation(chat)

    def bring_back(self, chat: str) -> None:
        """The conversation is listed again."""
        self.world.restore_conversation(chat)

    def new_chat(self) -> str:
        """A proposal's conversation is opened."""
        return self.world.new_conversation()

    def only(self, chat: str) -> dict[str, Any]:
        """Requests that name the conversation."""
        return {"conversation": chat}


class ChatServer:
    """OpenATS: whole chats."""

    def __init__(self, clock: SteeredClock) -> None:
        self.team = Team(clock, seed=5)
        self._deleted: dict[str, Any] = {}
        for _ in range(3):
            self.team.new_job()
        self.team.new_candidate(1)
        self.team.new_candidate(1)
        self.chats = ["job:1", "job:2", "job:3", "candidate:1", "candidate:2"]
        for chat, length in zip(self.chats, (3, 120, 7, 40, 12), strict=True):
            for n in range(length):
                self.say(chat, f"message {n}")
                clock.advance(1)
        clock.advance(86_400)
        self.sim = Simulator(World(clock), team=self.team)

    def mirrored(self, path: Path, clock: SteeredClock) -> Rig:
        """Its mirror."""
        self.rig = TeamRig(self.sim, path, clock)
        return self.rig

    @staticmethod
    def _split(id_: str) -> tuple[str, int]:
        kind, _, number = id_.partition(":")
        return kind, int(number)

    def say(self, chat: str, text: str) -> str:
        """Somebody says something."""
        kind, id_ = self._split(chat)
        return f"{kind}:{self.team.say(kind, id_, text)}"

    def edit(self, chat: str, message: str, text: str) -> None:
        """The text of a message changes."""
        self.team.edit(*self._split(chat), self._split(message)[1], text)

    def delete(self, chat: str, message: str) -> None:
        """A message is soft-deleted."""
        self.team.hide(*self._split(chat), self._split(message)[1])

    def restore(self, chat: str, message: str) -> None:
        """It is back."""
        self.team.hide(*self._split(chat), self._split(message)[1], hidden=False)

    def remove(self, chat: str) -> None:
        """The job or candidate is deleted."""
        self._deleted[chat] = self.team.chat(*self._split(chat))
        self.team.delete(*self._split(chat))

    def bring_back(self, chat: str) -> None:
        """The job or candidate is restored."""
        self.team.restore(*self._split(chat), self._deleted[chat])

    def new_chat(self) -> str:
        """A job is posted."""
        return f"job:{self.team.new_job()}"

    def only(self, chat: str) -> dict[str, Any]:
        """Requests for that chat."""
        kind, id_ = self._split(chat)
        return {"path": f"/chat/{kind}/{id_}$"}
