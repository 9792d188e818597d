"""A mirror of an OpenATS server under test, on a clock that the test steers."""

from collections.abc import Iterable

from msgspec.structs import replace

from rig import QUICK, Announcements, Rig
from syncd.core.model import Wanted
from syncd.core.observations import Opened
from syncd.engine.account import PollResult
from syncd.engine.chats import SnapshotMirror, poll_snapshot
from syncd.simulator import Team
from syncd.sources.http import PoliteClient
from syncd.sources.openats import OpenATS
from syncd.store.migrate import open_writer
from syncd.store.writer import StoreWriter
from team_oracle import team_differences


class TeamRig(Rig):
    """One account `acme`, mirrored from the simulator's OpenATS into a database."""

    chats: SnapshotMirror
    wanted = Wanted()
    manners = QUICK

    @property
    def team(self) -> Team:
        """What the server holds."""
        return self.sim.team

    async def start(self) -> None:
        """Open the database and begin, as a process does."""
        token = (lambda: self.token) if self.token != self.sim.token else None
        client = PoliteClient(self.sim.openats_url, clock=self.clock, token=token, limits=self.manners)
        self.store = StoreWriter(open_writer(self.path), self.clock, Announcements(self.announced))
        self.store.start()
        self.chats = SnapshotMirror(
            account="acme",
            source=OpenATS(client),
            store=self.store,
            clock=self.clock,
            policy=self.policy,
            log=lambda event, **fields: self.log.append((event, fields)),
            wanted=self.wanted,
        )
        opened = Opened(account="acme", now=self.clock.now(), source="openats", base_url=self.sim.openats_url)
        await self.store.apply(opened)

    def change_concurrency(self, requests: int) -> None:
        """Ask so many at once from now on."""
        self.policy = replace(self.policy, concurrency=requests)
        self.chats.policy = self.policy

    async def stop(self) -> None:
        """Close the connections and the database."""
        await self.chats.source.close()
        await self.store.close()

    async def poll(self, *, full: bool = False, manual: bool = False, after: float = 15.0) -> PollResult:
        """One poll, `after` seconds later; the request log and `new_events` begin anew."""
        self.clock.advance(after)
        self.sim.requests.clear()
        self._before = self.scalar("SELECT COALESCE(MAX(id), 0) FROM events")
        return await poll_snapshot(self.chats, full=full, manual=manual)

    def differences(self, *, ignore: Iterable[tuple[str, str]] = ()) -> list[str]:
        """How the mirror differs from what the server would tell."""
        del ignore
        return team_differences(self.path, self.team.truth())
