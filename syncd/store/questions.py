"""What the engine asks of the store between its observations."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, cast

from syncd.core.held import HeldAccount
from syncd.core.model import Instant
from syncd.core.outgoing import Outgoing
from syncd.protocols import Backlog
from syncd.store.backlog import load_backlog
from syncd.store.held import load_account
from syncd.store.outbox import load_one, load_waiting


class Questions(ABC):
    """The questions of protocols.Store, for whoever can read."""

    @abstractmethod
    async def read(self, query: Callable[[Connection], Any]) -> Any:
        """The answer of the connection that writes, between transactions."""

    async def fetch_account(self, account: str) -> HeldAccount:
        """The account as it is now."""
        return cast("HeldAccount", await self.read(lambda connection: load_account(connection, account, 0)))

    async def fetch_due(self, account: str, now: Instant, kinds: Sequence[str]) -> list[tuple[str, str]]:
        """Kind and subject of all of these kinds that is owed and due, oldest first."""
        marks = ", ".join("?" * len(kinds))
        due = f"account = ? AND due_at <= ? AND kind IN ({marks})"
        sql = f"SELECT kind, subject_id FROM _owed WHERE {due} ORDER BY due_at, rowid"  # noqa: S608 - question marks
        found = await self.read(lambda connection: connection.execute(sql, (account, now, *kinds)).fetchall())
        return [(kind, subject_id) for kind, subject_id in found]

    async def fetch_backlog(self, account: str) -> Backlog:
        """What stands between the account and the end of a comparison."""
        return cast("Backlog", await self.read(lambda connection: load_backlog(connection, account)))

    async def fetch_waiting(self, account: str) -> list[Outgoing]:
        """The messages that are to be sent, or looked for, oldest first."""
        return cast("list[Outgoing]", await self.read(lambda connection: load_waiting(connection, account)))

    async def fetch_outgoing(self, account: str, id_: int) -> Outgoing | None:
        """A message of the account's outbox."""
        return cast("Outgoing | None", await self.read(lambda connection: load_one(connection, account, id_)))

    async def fetch_accounts(self) -> list[str]:
        """The names of all accounts that have rows and were not removed."""
        sql = "SELECT account FROM accounts WHERE removed_at IS NULL"
        return [name for (name,) in await self.read(lambda connection: connection.execute(sql).fetchall())]

    async def count_unread(self) -> int:
        """How many conversations of all present accounts are unread."""
        sql = "SELECT COUNT(*) FROM conversations WHERE unread_count > 0 AND gone_at IS NULL"
        return int(await self.read(lambda connection: connection.execute(sql).fetchone()[0]))
