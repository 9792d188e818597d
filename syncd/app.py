"""Wire everything together; the only place where the real clock is made."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from syncd import logs
from syncd.config.credentials import resolve_token
from syncd.config.models import OpenTrainAccount
from syncd.core.model import Instant
from syncd.core.times import render_time
from syncd.engine.account import Mirror, Policy
from syncd.sources.http import PoliteClient
from syncd.sources.opentrain import OpenTrain
from syncd.store.apply import Recorded
from syncd.store.opening import open_writer
from syncd.store.writing import StoreWriter


class RealClock:
    """Fulfils protocols.Clock with the machine's own time."""

    def now(self) -> Instant:
        """The wall clock's time."""
        return render_time(datetime.now(UTC))

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def cpu(self) -> float:
        """Seconds of processor time that this process has used."""
        return time.process_time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class LogAnnouncer:
    """Writes events into the log."""

    def events(self, events: Sequence[Recorded]) -> None:
        """One line an event."""
        log = logs.get_logger()
        for recorded in events:
            log.info(recorded.event.kind, **fields_of(recorded))

    def history(self, account: str, counts: dict[str, int]) -> None:
        """One line for all that was there before anybody watched."""
        logs.get_logger().info("history", account=account, **{kind.replace(".", "_"): n for kind, n in counts.items()})


def fields_of(recorded: Recorded) -> dict[str, object]:
    """An event's fields as its log line has them: ids and data, no text."""
    event = recorded.event
    ids = {
        "conversation_id": event.conversation_id,
        "message_id": event.message_id,
        "proposal_id": event.proposal_id,
        "occurred_at": event.occurred_at,
    }
    known = {name: value for name, value in ids.items() if value is not None}
    return {"event_id": recorded.id, "account": recorded.account, **known, **event.data}


def log_line(event: str, *, level: str = "info", **fields: object) -> None:
    """Write one structured line."""
    getattr(logs.get_logger(), level)(event, **fields)


def open_store(path: Path, *, group_read: bool = False) -> StoreWriter:
    """Open the database for writing; the caller starts it inside the event loop, and holds the lock."""
    return StoreWriter(open_writer(path, group_read=group_read), RealClock(), LogAnnouncer())


def policy_of(account: OpenTrainAccount) -> Policy:
    """The account's settings as the engine reads them."""
    return Policy(
        poll_seconds=account.poll_seconds,
        idle_seconds=account.idle_seconds,
        concurrency=account.concurrency,
        reconcile_seconds=account.reconcile_hours * 3600,
        every_proposal=account.proposals == "all",
        overdue_seconds=account.overdue_after,
    )


def token_asker(account: OpenTrainAccount, environ: Mapping[str, str]) -> Callable[[], str]:
    """What gives the account's token, anew each time it is asked; every token it ever gave stays out of the logs."""

    def ask() -> str:
        token = resolve_token(account, environ).reveal()
        logs.register_secret(token)
        return token

    return ask


def build_mirror(account: OpenTrainAccount, store: StoreWriter, environ: Mapping[str, str] | None = None) -> Mirror:
    """An account, ready to be polled."""
    clock = RealClock()
    client = PoliteClient(
        account.base_url,
        clock=clock,
        token=token_asker(account, os.environ if environ is None else environ),
        concurrency=account.concurrency,
    )

    def log(event: str, *, level: str = "info", **fields: object) -> None:
        log_line(event, level=level, account=account.name, **fields)

    return Mirror(
        account=account.name,
        source=OpenTrain(client),
        store=store,
        clock=clock,
        policy=policy_of(account),
        log=log,
        settings=account,
    )
