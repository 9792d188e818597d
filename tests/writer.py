"""Somebody who writes in a mirrored inbox, through the engine's own verbs."""

from collections import Counter
from typing import Any

from rig import Rig, Row
from syncd.engine.outbox import VERBS, OutboxSender, SendTurn, deliver


class Writer:
    """Writes through the engine's own verbs, as a holder of the database does for whoever asks."""

    def __init__(self, rig: Rig, conversation_id: str) -> None:
        self.rig, self.sim, self.clock = rig, rig.sim, rig.clock
        self.conversation_id = conversation_id
        self.progress: list[Row] = []
        self.send_turn = SendTurn()

    @property
    def outbox_sender(self) -> OutboxSender:
        """The account's courier, in this process."""
        return OutboxSender(self.rig.mirror, self.send_turn)

    async def ask(self, verb: str, **arguments: Any) -> Row:
        """What a verb answers."""
        return await VERBS[verb](self.outbox_sender, arguments, self.progress.append)

    async def send(self, text: str, *, to: str | None = None, **arguments: Any) -> Row:
        """Send one message."""
        return await self.ask("send", conversation_id=to or self.conversation_id, content=text, **arguments)

    async def restart(self) -> None:
        """Be another process on the same database."""
        await self.rig.restart()
        self.send_turn = SendTurn()

    async def poll(self, after: float = 15.0) -> None:
        """One poll with what follows it."""
        outcome = await self.rig.poll(after=after)
        await deliver(self.outbox_sender, healthy=outcome.trouble is None)

    def row(self, id_: int) -> Row:
        """A row of the outbox."""
        (row,) = self.rig.rows("SELECT * FROM outbox WHERE id = ?", id_)
        return row

    def states(self) -> list[str]:
        """The state of every row, oldest first."""
        return [row["state"] for row in self.rig.rows("SELECT state FROM outbox ORDER BY id")]

    def arrived(self) -> Counter[str]:
        """How often the server has each text of ours in the conversation."""
        with self.sim.world.lock:
            messages = self.sim.world.truth()["messages"][self.conversation_id]
            return Counter(message["content"] for message in messages if message["isFromViewer"])

    def posts(self) -> int:
        """How many messages were posted since the request log began."""
        return int(self.sim.requests.count(method="POST"))
