"""Happenings over time, from a seed: what a live inbox looks like."""

import random
import threading
from typing import TYPE_CHECKING

from syncd.simulator import texts
from syncd.simulator.openats import Team
from syncd.simulator.records import Conversation
from syncd.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Callable


class Scenario:
    """Lets one thing after another happen in a world; `step` by hand, or `start` for a thread."""

    def __init__(self, world: World, *, seed: int = 1, team: Team | None = None) -> None:
        self._world = world
        self._team = team
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._stepped = threading.Condition()
        self._steps = 0
        self._thread: threading.Thread | None = None
        self._happenings: list[tuple[int, Callable[[], object]]] = [
            (50, self._receive),
            (12, self._answer),
            (10, self._read),
            (5, self._receive_burst),
            (5, self._edit),
            (2, self._delete),
            (3, self._react),
            (4, self._open),
            (4, self._propose),
            (3, self._decide),
            (2, self._record),
        ]
        if team is not None:
            self._happenings.append((15, self._discuss))

    def step(self) -> str:
        """Let one thing happen; returns its name."""
        weights = [weight for weight, _ in self._happenings]
        _, happening = self._random.choices(self._happenings, weights)[0]
        with self._world.lock:
            happening()
        with self._stepped:
            self._steps += 1
            self._stepped.notify_all()
        return happening.__name__.strip("_")

    def wait_for(self, steps: int, *, timeout: float = 5.0) -> bool:
        """Block until so many things have happened; False after `timeout` seconds."""
        with self._stepped:
            return self._stepped.wait_for(lambda: self._steps >= steps, timeout)

    def start(self, every: float) -> None:
        """Step in a thread, every so many seconds on average."""
        self._thread = threading.Thread(target=self._run, args=(every,), name="scenario", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _run(self, every: float) -> None:
        while not self._ended.wait(self._random.uniform(0.2, 1.8) * every):
            self.step()

    def _discuss(self) -> None:
        """Somebody of the OpenATS team says something."""
        chats = [(kind, id_) for kind, found in self._team.subjects.items() for id_ in found] if self._team else []
        if self._team and chats:
            self._team.say_something(*self._random.choice(chats))

    def _any(self) -> Conversation:
        """A conversation, mostly one of the recently active."""
        listed = self._world.listed(self._world.viewer)
        if not listed:
            return self._world.conversations[self._world.new_conversation()]
        return listed[min(int(self._random.expovariate(1 / 15)), len(listed) - 1)]

    def _receive(self) -> None:
        self._world.add_message(self._any().id, self._random.choice(texts.INBOUND))

    def _receive_burst(self) -> None:
        self._world.burst(self._any().id, self._random.randint(2, 6), text="And one more thing ({n})")

    def _answer(self) -> None:
        conversation = self._any()
        self._world.read_conversation(conversation.id)
        self._world.add_message(conversation.id, self._random.choice(texts.OUTBOUND), from_viewer=True)

    def _read(self) -> None:
        unread = [c for c in self._world.listed(self._world.viewer) if c.unread]
        if unread:
            self._world.read_conversation(self._random.choice(unread).id)

    def _edit(self) -> None:
        conversation = self._any()
        if conversation.messages:
            last = conversation.messages[-1]
            self._world.edit_message(conversation.id, last.id, f"{last.content} (edited)"[:10_000])

    def _delete(self) -> None:
        conversation = self._any()
        if len(conversation.messages) > 1:
            self._world.delete_message(conversation.id, self._random.choice(conversation.messages[-10:]).id)

    def _react(self) -> None:
        conversation = self._any()
        if conversation.messages:
            self._world.react(conversation.id, conversation.messages[-1].id)

    def _open(self) -> None:
        conversation_id = self._world.new_conversation()
        self._world.add_message(conversation_id, "Hello! I would like to join your project.")

    def _propose(self) -> None:
        self._world.new_proposal()

    def _decide(self) -> None:
        if not self._world.proposals:
            return
        status = self._random.choice(("SHORTLISTED", "HIRED", "DECLINED"))
        self._world.set_proposal_status(self._random.choice(list(self._world.proposals)), status)

    def _record(self) -> None:
        waiting = [p.id for p in self._world.proposals.values() if p.interview is None]
        if waiting:
            self._world.interview_appears(self._random.choice(waiting), score=self._random.randint(40, 99))
